import type { ClamdConnection } from './clamd-connection.js';

/** `part`: the connection was over before the whole content was sent. */
export type Sent = 'all' | 'part' | 'too-large';

const lengthOf = (bytes: number): Buffer => {
  const length = Buffer.allocUnsafe(4);
  length.writeUInt32BE(bytes);
  return length;
};

/**
 * Sends a content in INSTREAM's form: chunks with their length, then a zero length. When sending is no longer useful,
 * it stops without closing the iterator, so that the caller can read the rest. It always awaits a pending `next()`,
 * because an abandoned one would lose its error.
 */
export async function sendContent(
  content: AsyncIterable<Buffer>,
  connection: ClamdConnection,
  maxBytes: number,
): Promise<Sent> {
  const chunks = content[Symbol.asyncIterator]();
  let sentBytes = 0;
  while (!connection.isOver) {
    const next = await chunks.next();
    if (next.done === true) {
      await connection.send(lengthOf(0));
      return 'all';
    }
    const chunk = next.value;
    sentBytes += chunk.length;
    if (sentBytes > maxBytes) return 'too-large';
    // A zero length would end the stream, and clamd would not scan the rest.
    if (chunk.length > 0) await connection.send(lengthOf(chunk.length), chunk);
  }
  return 'part';
}
