import { spawn, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createReadStream } from 'node:fs';
import { open, rm } from 'node:fs/promises';
import { request as httpRequest, type IncomingMessage } from 'node:http';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { pipeline as pipe } from 'node:stream/promises';
import type { Figure } from '../figures.ts';
import { requestAll, type Upload, untilReady } from '../files.ts';
import { alternate, type Measurement } from '../measurement.ts';
import { cpuSecondsOf, cpuSecondsOfEnded, needsProc } from '../process-usage.ts';
import type { Stack } from '../stack.ts';
import { tokensOf } from '../users.ts';

const MIB = 2 ** 20;
const FILE_MIB = 256;
/** The kernel counts in hundredths of a second. */
const OPENSSL_TIMES = 4;
/** One file takes so little processor time that single rounds differ by half. */
const ROUNDS = 9;

const needsOpenssl = () =>
  spawnSync('openssl', ['version']).status === 0 ? null : 'openssl is not on the PATH';

async function writeFile(file: string): Promise<void> {
  const handle = await open(file, 'w');
  for (let written = 0; written < FILE_MIB; written++) await handle.write(randomBytes(MIB));
  await handle.close();
}

/** The same file with other bytes, so that it is a new one for the service. */
async function changeFile(file: string): Promise<void> {
  const handle = await open(file, 'r+');
  await handle.write(randomBytes(64), 0, 64, 0);
  await handle.close();
}

/** Hashes the file by openssl's command: the digest, and MiB for each second of processor time. */
async function opensslOf(file: string): Promise<{ digest: string; rate: number }> {
  const before = cpuSecondsOfEnded();
  const openssl = spawn('openssl', ['dgst', '-sha256', '-r', ...Array<string>(OPENSSL_TIMES).fill(file)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [output, [code]] = await Promise.all([
    text(openssl.stdout),
    once(openssl, 'exit') as Promise<[number | null]>,
  ]);
  if (code !== 0) throw new Error(`openssl ended with code ${code}`);
  return { digest: output.slice(0, 64), rate: (FILE_MIB * OPENSSL_TIMES) / (cpuSecondsOfEnded() - before) };
}

async function send(stack: Stack, { put: { method, path, headers } }: Upload, file: string): Promise<void> {
  const request = httpRequest(stack.storageOrigin + path, { method, headers, timeout: 60_000 });
  const answered = once(request, 'response') as Promise<[IncomingMessage]>;
  await pipe(createReadStream(file, { highWaterMark: MIB }), request);
  const [response] = await answered;
  const body = await text(response);
  if (response.statusCode !== 200)
    throw new Error(`storage answered ${response.statusCode}: ${body.slice(0, 300)}`);
}

/** What a worker needs for a large file from the event to READY, against openssl's command over the same bytes. */
export const pipeline: Measurement = {
  name: 'pipeline',
  obstacle: () => needsProc() ?? needsOpenssl(),
  run: (stack, say) => stack.withWorker((worker) => measure(stack, worker, say)),
};

async function measure(stack: Stack, worker: number, say: (doing: string) => void): Promise<Figure[]> {
  const [token = ''] = await tokensOf(stack, 1);
  const file = path.join(stack.folder, 'large.bin');
  let digest = '';
  const openssl = async () => {
    await changeFile(file);
    const hashed = await opensslOf(file);
    digest = hashed.digest;
    return hashed.rate;
  };
  const worked = async () => {
    const [mimeType, sizeBytes] = ['application/octet-stream', FILE_MIB * MIB];
    const input = { filename: 'large.bin', mimeType, sizeBytes, checksumSha256: digest };
    const [upload] = await requestAll(stack, token, [input]);
    const before = cpuSecondsOf(worker);
    await send(stack, upload!, file);
    await untilReady(stack, [upload!.id]);
    return FILE_MIB / (cpuSecondsOf(worker) - before);
  };
  try {
    say('writing a file');
    await writeFile(file);
    say('warming up');
    await openssl();
    await worked();
    const rates = await alternate({ openssl, worker: worked }, say, ROUNDS);
    const against = { what: 'openssl dgst -sha256', values: rates.openssl };
    const what = `processing of ${FILE_MIB} MiB`;
    return [{ what, unit: 'MiB/CPU-s', values: rates.worker, against, target: { atLeast: 0.35 } }];
  } finally {
    await rm(file, { force: true });
  }
}
