/** A command line client that uploads files and waits for the results. */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import path from 'node:path';
import { pipeline } from 'node:stream/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import cliProgress from 'cli-progress';
import { type Asset, type Client } from './client.ts';
import { reason, run, UsageError } from './command.ts';
import { localClient } from './local-client.ts';
import { mediaTypeOf } from './media-type.ts';
import { send, sendInChunks } from './sending.ts';

const HELP = `
Usage: npm run upload -- FILE… [--token T] [--url http://127.0.0.1:3000/graphql] [--json]

Uploads files and waits until each is READY or refused. The exit code is 1 unless all are READY.

  --token TOKEN         token of the owner; user 1 of the embedded stack by default
  --url URL             URL of the API; the embedded stack by default
  --json                prints the results as JSON

The command uses the stack that runs from this folder; if several run, set PORT or DATA_DIR.
`;
/** Larger files are sent in chunks, so that an interruption costs only one chunk. */
const LARGE_BYTES = 8 * 2 ** 20;
const FIRST_POLL_MS = 300;
const LONGEST_POLL_MS = 3_000;
/** Storage's event normally takes milliseconds; after this time the client calls completeUpload. */
const EVENT_MS = 5_000;
/** Final statuses. An unknown status is treated like PROCESSING. */
const FINAL = new Set(['READY', 'REJECTED', 'FAILED', 'EXPIRED', 'CANCELLED', 'DELETED']);
const PROCESSING_MS = 15 * 60_000;

await run(HELP, async () => {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      token: { type: 'string' },
      url: { type: 'string' },
      json: { type: 'boolean', default: false },
    },
  });
  if (positionals.length === 0) throw new UsageError('Name at least one file');
  const client = await localClient(values);
  const outcomes: (Partial<Asset> & { file: string; error?: string })[] = [];
  for (const name of positionals) {
    try {
      outcomes.push({ file: name, ...(await upload(client, name)) });
    } catch (error) {
      outcomes.push({ file: name, error: reason(error) });
    }
    const outcome = outcomes.at(-1)!;
    if (outcome.error !== undefined) console.error(`${name}: ${outcome.error}`);
    else if (!values.json) console.log(description(name, outcome as Asset));
  }
  if (values.json) console.log(JSON.stringify(outcomes, null, 2));
  if (outcomes.some(({ status }) => status !== 'READY')) process.exitCode = 1;
});

async function upload(client: Client, name: string): Promise<Asset> {
  // npm changes to the project's folder; the name is relative to the user's folder.
  const file = path.resolve(process.env.INIT_CWD ?? '.', name);
  const found = await stat(file);
  if (!found.isFile()) throw new Error('Not a regular file');
  const bar = progressBar(name, found.size);
  try {
    const { asset, upload: ticket } = await client.requestUpload({
      filename: path.basename(file),
      mimeType: mediaTypeOf(file),
      sizeBytes: found.size,
      checksumSha256: await sha256(file),
      ...(found.size > LARGE_BYTES && { method: 'RESUMABLE' as const }),
    });
    if (ticket === null) return asset;
    const progress = (bytes: number) => bar?.update(bytes);
    const renew = () => client.renewUpload(asset.id);
    const sent =
      ticket.protocol === 'GCS_RESUMABLE'
        ? await sendInChunks({ ticket, renew }, file, found.size, progress)
        : await send(ticket, file, found.size, progress);
    bar?.stop();
    if (!sent) await client.completeUpload(asset.id);
    return await waitForEnd(client, asset.id);
  } finally {
    bar?.stop();
  }
}

function progressBar(name: string, total: number): cliProgress.SingleBar | null {
  if (!process.stderr.isTTY || total === 0) return null;
  const format = `${path.basename(name)} {bar} {percentage}% of ${total} bytes, {eta_formatted} left`;
  const bar = new cliProgress.SingleBar({ format, stream: process.stderr, clearOnComplete: true });
  bar.start(total, 0);
  return bar;
}

async function sha256(file: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(file), hash);
  return hash.digest('hex');
}

/** Polls until the asset has a final status. */
async function waitForEnd(client: Client, id: string): Promise<Asset> {
  const began = Date.now();
  let asked = false;
  for (let pause = FIRST_POLL_MS; ; pause = Math.min(pause * 1.3, LONGEST_POLL_MS)) {
    const asset = await client.asset(id);
    if (asset === null) throw new Error('The asset was purged');
    if (FINAL.has(asset.status)) return asset;
    const waited = Date.now() - began;
    if (waited > PROCESSING_MS) throw new Error(`Asset ${id} is still ${asset.status}`);
    if (asset.status === 'PENDING' && waited > EVENT_MS && !asked) {
      asked = true;
      await client.completeUpload(id);
    }
    await delay(pause);
  }
}

/** Label and value of each variant and known property. */
function foundIn({ properties, variants, variantsReason }: Asset): [string, string][] {
  const lines: [string, string | null][] = variants.map(({ name, width, height, sizeBytes }) => [
    'variant',
    `${name}, ${width} × ${height}, ${sizeBytes} bytes`,
  ]);
  lines.push(['no variant', variantsReason]);
  if (properties !== null) {
    const { width, height, durationSeconds, pageCount, location } = properties;
    const names = (...parts: (string | null)[]) => parts.filter((part) => part !== null).join(', ') || null;
    lines.unshift(
      ['pixels', width === null ? null : `${width} × ${height}`],
      ['duration', durationSeconds === null ? null : `${durationSeconds.toFixed(1)} s`],
      ['pages', pageCount === null ? null : String(pageCount)],
      ['title', names(properties.title, properties.artist, properties.album)],
      ['taken', names(properties.takenAtLocal, properties.cameraMake, properties.cameraModel)],
      ['place', location === null ? null : `${location.latitude}, ${location.longitude}`],
    );
  }
  return lines.filter((line): line is [string, string] => line[1] !== null);
}

function description(name: string, asset: Asset): string {
  const { statusReason: why, downloadUrl } = asset;
  const lines = [
    ['id', asset.id],
    ['type', asset.mimeType],
    ['size', `${asset.sizeBytes} bytes`],
    ['sha256', asset.checksumSha256],
    ...foundIn(asset),
    ...(why ? [['reason', `${why.message} (${why.code})`]] : []),
    ...(downloadUrl ? [['download', downloadUrl.url]] : []),
  ];
  return [
    `${name}: ${asset.status}`,
    ...lines.map(([label = '', value]) => `  ${label.padEnd(9)} ${value}`),
  ].join('\n');
}
