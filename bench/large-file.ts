import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createReadStream } from 'node:fs';
import { open, rm } from 'node:fs/promises';
import { request as httpRequest, type IncomingMessage } from 'node:http';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { pipeline as pipe } from 'node:stream/promises';
import { requestAll } from './files.ts';
import type { Stack } from './stack.ts';

export const MIB = 2 ** 20;
export const FILE_MIB = 256;
const FILE_BYTES = FILE_MIB * MIB;
const CHANGED_BYTES = 64;

function box(type: string, ...parts: readonly Buffer[]): Buffer {
  const content = Buffer.concat(parts);
  const head = Buffer.alloc(8);
  head.writeUInt32BE(8 + content.length);
  head.write(type, 4, 'latin1');
  return Buffer.concat([head, content]);
}

/** ISO/IEC 14496-12: a file type box, a movie header (one hour in ms), and the header of a data box for the rest. */
function filmHead(): Buffer {
  const header = Buffer.alloc(100);
  header.writeUInt32BE(1000, 12);
  header.writeUInt32BE(3_600_000, 16);
  const boxes = [
    box('ftyp', Buffer.from('isom\0\0\x02\0isommp42', 'latin1')),
    box('moov', box('mvhd', header)),
    box('mdat'),
  ];
  const head = Buffer.concat(boxes);
  head.writeUInt32BE(8 + FILE_BYTES - head.length, head.length - 8);
  return head;
}

/** First bytes of a file, which decide its type: one without reader, or a film, which is spooled and inspected. */
const KINDS = {
  'application/octet-stream': () => Buffer.alloc(0),
  'video/mp4': filmHead,
};

/** A large file of random bytes on disk, and so in the page cache. Disposing it removes it. */
export class LargeFile implements AsyncDisposable {
  static async create(stack: Stack, mimeType: keyof typeof KINDS): Promise<LargeFile> {
    const file = new LargeFile(path.join(stack.folder, mimeType.replace('/', '-')), mimeType);
    const handle = await open(file.path, 'w');
    for (let written = 0; written < FILE_MIB; written++) await handle.write(randomBytes(MIB));
    const head = KINDS[mimeType]();
    await handle.write(head, 0, head.length, 0);
    await handle.close();
    return file;
  }

  readonly path: string;
  private readonly mimeType: string;

  private constructor(file: string, mimeType: string) {
    this.path = file;
    this.mimeType = mimeType;
  }

  /** Changes bytes at the end, so that the service and clamd see a new file. */
  async change(): Promise<void> {
    const handle = await open(this.path, 'r+');
    await handle.write(randomBytes(CHANGED_BYTES), 0, CHANGED_BYTES, FILE_BYTES - CHANGED_BYTES);
    await handle.close();
  }

  chunks(): AsyncIterable<Buffer> {
    return createReadStream(this.path, { highWaterMark: MIB }) as AsyncIterable<Buffer>;
  }

  /** Requests an upload, sends the file and returns the asset id. */
  async upload(stack: Stack, token: string): Promise<string> {
    const checksumSha256 = await this.sha256();
    const input = { filename: 'large', mimeType: this.mimeType, sizeBytes: FILE_BYTES, checksumSha256 };
    const [upload] = await requestAll(stack, token, [input]);
    const { method, path, headers } = upload!.put;
    const request = httpRequest(stack.storageOrigin + path, { method, headers, timeout: 60_000 });
    request.once('timeout', () => request.destroy(new Error('storage does not answer')));
    const answered = once(request, 'response') as Promise<[IncomingMessage]>;
    answered.catch(() => undefined);
    await pipe(this.chunks(), request);
    const [response] = await answered;
    const body = await text(response);
    if (response.statusCode !== 200)
      throw new Error(`storage answered ${response.statusCode}: ${body.slice(0, 300)}`);
    return upload!.id;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.path, { force: true });
  }

  private async sha256(): Promise<string> {
    const hash = createHash('sha256');
    for await (const chunk of this.chunks()) hash.update(chunk);
    return hash.digest('hex');
  }
}
