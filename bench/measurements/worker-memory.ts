import { randomBytes } from 'node:crypto';
import sharp from 'sharp';
import { needsClamd, withClamd } from '../clamd.ts';
import type { Figure } from '../figures.ts';
import { type NewFile, opaqueFile, untilReady, uploadAll } from '../files.ts';
import { LargeFile } from '../large-file.ts';
import { Load } from '../load/load.ts';
import type { Measurement } from '../measurement.ts';
import { needsProc } from '../process-usage.ts';
import type { Stack } from '../stack.ts';
import { tokensOf } from '../users.ts';

const SMALL_FILES = 300;
const SMALL_BYTES = 64 * 1024;
const PICTURES = 24;
const [WIDTH, HEIGHT] = [4000, 3000];
const COMMENT_BYTES = 16;
const CONNECTIONS = 4;

/** Pictures that get variants: one picture with different comments (ITU-T T.81, B.2.4.5), so that all files differ. */
async function newPictures(): Promise<NewFile[]> {
  const noise = { type: 'gaussian', mean: 128, sigma: 20 } as const;
  const create = { width: WIDTH, height: HEIGHT, channels: 3, background: 'grey', noise } as const;
  const picture = await sharp({ create }).jpeg().toBuffer();
  return Array.from({ length: PICTURES }, () => {
    const comment = Buffer.concat([
      Buffer.from([0xff, 0xfe, 0, 2 + COMMENT_BYTES]),
      randomBytes(COMMENT_BYTES),
    ]);
    const bytes = Buffer.concat([picture.subarray(0, 2), comment, picture.subarray(2)]);
    return { bytes, mimeType: 'image/jpeg' };
  });
}

/**
 * Peak memory of any worker: under all loads of the run so far, and at last with two large files, pictures and small files
 * at once.
 */
export const workerMemory: Measurement = {
  name: 'worker-memory',
  obstacle: needsProc,
  async run(stack, say): Promise<Figure[]> {
    say('making pictures');
    const pictures = await newPictures();
    const small = Array.from({ length: SMALL_FILES }, () => opaqueFile(SMALL_BYTES));
    say('large files, pictures and small files at once');
    const everything = (env: NodeJS.ProcessEnv) =>
      stack.withWorker(() => processAll(stack, [...pictures, ...small]), env);
    if (needsClamd() === null) {
      await withClamd(stack, (port) => everything({ CLAMD_ADDRESS: `127.0.0.1:${port}` }));
    } else {
      await everything({});
    }
    const { own, children } = stack.workerMemory;
    return [
      {
        what: 'resident memory of a worker, at its peak',
        unit: 'MiB',
        values: [own],
        target: { atMost: 300 },
      },
      { what: 'the processes that look into files, together', unit: 'MiB', values: [children] },
    ];
  },
};

async function processAll(stack: Stack, files: readonly NewFile[]): Promise<void> {
  using load = new Load();
  const [one = '', other = ''] = await tokensOf(stack, 2);
  await using film = await LargeFile.create(stack, 'video/mp4');
  await using unknown = await LargeFile.create(stack, 'application/octet-stream');
  const ids = await Promise.all([
    uploadAll({ stack, load, token: one, connections: CONNECTIONS }, files),
    ...[film, unknown].map(async (file) => [await file.upload(stack, other)]),
  ]);
  await untilReady(stack, ids.flat());
}
