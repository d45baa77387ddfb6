import { types } from 'node:util';

/*
 * Wire format of the channel: the length of the JSON text, the length of the bytes (32-bit big-endian each), the text,
 * and the bytes that the text refers to. A hostile file may control the sender: the format therefore cannot encode
 * objects of other classes (as structured clone can), and the receiver checks each length before it allocates memory.
 */
const HEAD_BYTES = 8;
/** Limit of the JSON text, which holds everything but encoded images: many times the size of the longest metadata. */
const MAX_TEXT_BYTES = 2 ** 20;
/** Key of the JSON object that stands for bytes: its value is their offset and their length. */
const REFERENCE = '$bytes';

/** The other side sent a frame that is malformed or too large. */
export class ProtocolError extends Error {}

/** Encodes one message: JSON values, with a `Uint8Array` allowed anywhere in it. */
export function toFrame(message: unknown): Buffer {
  const parts: Uint8Array[] = [];
  let length = 0;
  const refer = (value: unknown): unknown => {
    if (types.isUint8Array(value)) {
      const reference = { [REFERENCE]: [length, value.length] };
      parts.push(value);
      length += value.length;
      return reference;
    }
    if (Array.isArray(value)) return value.map(refer);
    if (typeof value !== 'object' || value === null || types.isDate(value)) return value;
    return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, refer(inner)]));
  };
  const text = Buffer.from(JSON.stringify(refer(message)));
  const head = Buffer.alloc(HEAD_BYTES);
  head.writeUInt32BE(text.length, 0);
  head.writeUInt32BE(length, 4);
  return Buffer.concat([head, text, ...parts]);
}

function messageOf(frame: Buffer, textLength: number): unknown {
  const bytes = frame.subarray(textLength);
  return JSON.parse(frame.toString('utf8', 0, textLength), (_, value: unknown) => {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, REFERENCE)) return value;
    const [start, length] = (value as Record<string, unknown>)[REFERENCE] as [unknown, unknown];
    if (!Number.isSafeInteger(start) || !Number.isSafeInteger(length)) throw new ProtocolError();
    return bytes.subarray(Number(start), Number(start) + Number(length));
  });
}

/** Decodes messages from a stream of chunks. Buffers one frame at most. */
export class FrameReader {
  private buffer: Buffer = Buffer.alloc(HEAD_BYTES);
  private filled = 0;
  /** Length of the JSON text in the current frame; null while the frame's head is incomplete. */
  private textLength: number | null = null;

  /** `maxBytes` limits the bytes beside the text, from the next frame on. */
  constructor(public maxBytes: number) {}

  /**
   * Returns the messages that this chunk completes.
   * @throws ProtocolError on a malformed frame; SyntaxError or TypeError on malformed JSON or references
   */
  push(chunk: Buffer): unknown[] {
    const messages: unknown[] = [];
    for (let at = 0; at < chunk.length;) {
      const count = chunk.copy(this.buffer, this.filled, at);
      at += count;
      this.filled += count;
      if (this.filled < this.buffer.length) break;
      if (this.textLength === null) this.begin();
      else {
        messages.push(messageOf(this.buffer, this.textLength));
        this.expect(HEAD_BYTES, null);
      }
    }
    return messages;
  }

  private begin(): void {
    const [text, bytes] = [this.buffer.readUInt32BE(0), this.buffer.readUInt32BE(4)];
    if (text === 0 || text > MAX_TEXT_BYTES || bytes > this.maxBytes) throw new ProtocolError();
    this.expect(text + bytes, text);
  }

  private expect(length: number, textLength: number | null): void {
    this.buffer = Buffer.allocUnsafe(length);
    this.filled = 0;
    this.textLength = textLength;
  }
}
