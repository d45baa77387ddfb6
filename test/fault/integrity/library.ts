import sharp from 'sharp';
import { kindOf } from '#libs/domain';
import type { SignedRequest } from '#libs/storage';
import { until } from '../../../libs/testing/src/until.js';
import { actor, type World } from '../../../libs/testing/src/world.js';

/** The damage that a file gets, or `intact`, with the number of files. */
const FILES = {
  'bit flip': 100,
  truncated: 100,
  lost: 100,
  'lost copy row': 60,
  'lost variant row': 10,
  'lost variant': 10,
  'lost asset row': 20,
  'count too high': 50,
  'count too low': 50,
  'quota drift': 100,
  'wrong type': 50,
  'wrong encoding': 50,
  'same bytes again': 50,
  'other bytes': 50,
  intact: 150,
} as const;

export type FileKind = keyof typeof FILES;

/** Kinds whose files are pictures, which have a variant. */
const PICTURES: ReadonlySet<FileKind> = new Set(['lost variant row', 'lost variant']);
/** Kinds that change the quota of the owners: each file has an owner of its own. */
const OWN_OWNER: Partial<Record<FileKind, bigint>> = { 'quota drift': 1_000n, 'lost asset row': 2_000n };
/** Owners of all other files. */
const OWNERS = 20;
/** Every third file has a second asset, of another owner. */
const SHARED = 3;
const PARALLEL = 16;

interface LibraryAsset {
  readonly id: string;
  readonly ownerId: bigint;
}

/** A file of the library: one stored object, and the assets that point at it. */
export interface LibraryFile {
  readonly kind: FileKind;
  readonly index: number;
  readonly bytes: Buffer;
  readonly mimeType: string;
  readonly assets: readonly LibraryAsset[];
  readonly objectId: bigint;
  /** Key of the stored object. */
  readonly key: string;
}

/** The assets of a file whose rows are not lost. */
export const assetsLeft = ({ kind, assets }: LibraryFile) =>
  kind === 'lost asset row' ? assets.slice(1) : assets;

/** A generator of numbers from 0 to 1 that depends on its seed alone (mulberry32). */
export function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Runs `work` for all items, several at a time. */
export async function inParallel<Item, Result>(
  items: readonly Item[],
  work: (item: Item) => Promise<Result>,
): Promise<Result[]> {
  const results: Result[] = [];
  const entries = items.entries();
  const run = async () => {
    for (const [at, item] of entries) results[at] = await work(item);
  };
  await Promise.all(Array.from({ length: PARALLEL }, run));
  return results;
}

/**
 * Uploads bytes through the pipeline. Repeats the job while the stored object is busy, as a worker does.
 * @throws if the asset does not become READY
 */
export async function uploadReady(world: World, bytes: Buffer, mimeType: string, ownerId: bigint) {
  const filename = mimeType === 'image/jpeg' ? 'file.jpg' : 'file.txt';
  const { id, ticket } = await world.request(bytes, { filename, mimeType }, actor(ownerId));
  // Bytes that the owner has already are not sent again.
  if (ticket !== null) await sendAndProcess(world, id, ticket, bytes);
  const asset = await world.asset(id);
  if (asset.status !== 'READY')
    throw new Error(`asset ${id} is ${asset.status}: ${asset.statusReason?.code}`);
  return asset;
}

async function sendAndProcess(world: World, id: string, ticket: SignedRequest, bytes: Buffer): Promise<void> {
  const status = await world.put(ticket, bytes);
  if (status !== 200) throw new Error(`PUT answered ${status}`);
  await world.completion.checkObject(id);
  const job = await world.job(id);
  await until(`asset ${id} is processed`, async () => {
    try {
      await world.process(job);
      return true;
    } catch (error) {
      if (kindOf(error) === 'unavailable') return null;
      throw error;
    }
  });
}

async function bytesOf(kind: FileKind, index: number, random: () => number): Promise<Buffer> {
  if (!PICTURES.has(kind)) {
    return Buffer.from(`${kind} ${index} ${'.'.repeat(20 + Math.floor(random() * 200))}`);
  }
  const background = { r: index, g: Math.floor(random() * 256), b: Math.floor(random() * 256) };
  return sharp({ create: { width: 60, height: 40, channels: 3, background } })
    .jpeg()
    .toBuffer();
}

/** Uploads a file, whose bytes depend on its kind and index, for its owners. */
export async function makeFile(
  world: World,
  kind: FileKind,
  index: number,
  random: () => number,
): Promise<LibraryFile> {
  const bytes = await bytesOf(kind, index, random);
  const mimeType = PICTURES.has(kind) ? 'image/jpeg' : 'text/plain';
  const own = OWN_OWNER[kind];
  const first = own === undefined ? BigInt(1 + (index % OWNERS)) : own + BigInt(index);
  const owners = index % SHARED === 0 ? [first, BigInt(100 + (index % OWNERS))] : [first];
  const assets = [];
  for (const ownerId of owners) {
    const { id, storedObjectId, objectKey } = await uploadReady(world, bytes, mimeType, ownerId);
    assets.push({ id, ownerId, objectId: storedObjectId!, key: objectKey });
  }
  const { objectId, key } = assets[0]!;
  return { kind, index, bytes, mimeType, assets, objectId, key };
}

/** Uploads all files: each is a stored object of its own, and some are shared by two owners. */
export function makeLibrary(world: World, seed: number): Promise<LibraryFile[]> {
  const planned = Object.entries(FILES).flatMap(([kind, count]) =>
    Array.from({ length: count }, (_, index) => ({ kind: kind as FileKind, index })),
  );
  // Each file has numbers of its own, since the order in which files are uploaded is not determined.
  return inParallel([...planned.entries()], ([at, { kind, index }]) =>
    makeFile(world, kind, index, seeded(seed + at)),
  );
}
