import { types } from 'node:util';

/*
 * What goes over the channel: two lengths (32 bits, big-endian), a text in JSON, and bytes to which the text refers. Either side may
 * be a hostile file's by now, so nothing is used that makes objects of more kinds, or of a size that it is told.
 */
const HEAD_BYTES = 8;
/** Everything but pictures: titles and the like, many times over. */
const MAX_TEXT_BYTES = 2 ** 20;
/** In the text, instead of bytes: where they begin and how many there are. */
const REFERENCE = '$bytes';

/** What the other side sent is no message, or one that is too large. */
export class ProtocolError extends Error {}

/** One message, of JSON and bytes. */
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

/** Puts messages together again. Holds one at most. */
export class FrameReader {
  private buffer: Buffer = Buffer.alloc(HEAD_BYTES);
  private filled = 0;
  /** Of the frame that is being read; null while its head is. */
  private textLength: number | null = null;

  /** The most bytes beside the text in a message that begins now. */
  constructor(public maxBytes: number) {}

  /** The messages that are whole with this chunk. @throws ProtocolError, or whatever a text is that is no JSON */
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
