import type { ClamdConnection } from './clamd-connection.js';

/** `part`: the connection was over before the content was. */
export type Sent = 'all' | 'part' | 'too-large';

const lengthOf = (bytes: number): Buffer => {
  const length = Buffer.allocUnsafe(4);
  length.writeUInt32BE(bytes);
  return length;
};

/**
 * Sends a content in INSTREAM's chunks, each after its length, and the zero that ends them. The content is left where it
 * is when that is of no more use: who gave it may want the rest. It is never left while its next chunk is on the way,
 * for with that its error would be lost.
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
    // A length of zero would end it here, and the rest would go unseen.
    if (chunk.length > 0) await connection.send(lengthOf(chunk.length), chunk);
  }
  return 'part';
}
