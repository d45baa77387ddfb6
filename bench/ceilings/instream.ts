import { once } from 'node:events';
import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { pipeline as pipe } from 'node:stream/promises';

const TIMEOUT_MS = 150_000;

const lengthOf = (bytes: number) => {
  const length = Buffer.allocUnsafe(4);
  length.writeUInt32BE(bytes);
  return length;
};

/** Has clamd scan a content over INSTREAM with minimum work (clamd(8)). @throws Error unless clamd finds it clean */
export async function instream(port: number, content: AsyncIterable<Buffer>): Promise<void> {
  const socket = connect(port, '127.0.0.1').setTimeout(TIMEOUT_MS, () =>
    socket.destroy(new Error('clamd does not answer')),
  );
  try {
    await once(socket, 'connect');
    const answer = text(socket);
    const sent = pipe(
      async function* () {
        yield Buffer.from('zINSTREAM\0');
        for await (const chunk of content) {
          yield lengthOf(chunk.length);
          yield chunk;
        }
        yield lengthOf(0);
      },
      socket,
      { end: false },
    );
    const [reply] = await Promise.all([answer, sent]);
    if (reply !== 'stream: OK\0') throw new Error(`clamd answered ${JSON.stringify(reply)}`);
  } finally {
    socket.destroy();
  }
}
