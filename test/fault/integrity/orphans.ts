import { v7 as uuidv7 } from 'uuid';
import { contentKey, type ObjectRef, specOf, variantKey } from '#libs/domain';
import { CONTENT, INCOMING, sha256, type World } from '../../../libs/testing/src/world.js';

const DAY_MS = 86_400_000;
/** Older than the time for which the task keeps unknown objects. */
export const OLD_MS = 60 * DAY_MS;

export interface Planted extends ObjectRef {
  readonly bytes: Buffer;
  readonly createdAt: Date;
}

const bytesOf = (text: string) => Buffer.from(`without a row: ${text}`);
const keysOf = (count: number, keyOf: (index: number) => string) =>
  Array.from({ length: count }, (_, index) => keyOf(index));

/** Keys of each form that the service writes, of content that no row describes. */
function unknownKeys(
  world: World,
  age: string,
  createdAt: Date,
  counts: { content: number; variant: number; incoming: number },
) {
  const hash = (index: number) => sha256(`${age} orphan ${index}`);
  const spec = specOf(world.profiles[0]!);
  // The key of each fifth object has a scope, as with DEDUPE_SCOPE=owner.
  const scope = (index: number) => (index % 5 === 0 ? '42' : '');
  return [
    ...keysOf(counts.content, (index) => contentKey(hash(index), scope(index))).map((key) => ({
      bucket: CONTENT,
      key,
    })),
    ...keysOf(counts.variant, (index) => variantKey(hash(index), spec, scope(index))).map((key) => ({
      bucket: CONTENT,
      key,
    })),
    ...keysOf(counts.incoming, (index) => uuidv7({ msecs: createdAt.getTime() + index })).map((key) => ({
      bucket: INCOMING,
      key,
    })),
  ].map((at) => ({ ...at, bytes: bytesOf(at.key), createdAt }));
}

/** Keys that the service never writes. */
const FOREIGN: readonly ObjectRef[] = [
  ...[
    'readme.txt',
    'content/readme.txt',
    `content/${'A'.repeat(64)}`,
    `content/${'a'.repeat(63)}`,
    `content/x/${'a'.repeat(64)}`,
    `variant/${'a'.repeat(64)}/unknown`,
    `backup/content/${'a'.repeat(64)}`,
    'k'.repeat(1_024),
    'content/%2e%2e/\u{1f4a5}',
  ].map((key) => ({ bucket: CONTENT, key })),
  ...['readme.txt', `content/${'a'.repeat(64)}`, 'ZZZZZZZZ-0000-7000-8000-000000000000'].map((key) => ({
    bucket: INCOMING,
    key,
  })),
];

/** Objects without a row. */
export interface PlantedObjects {
  /** Old enough to be deleted. */
  readonly orphans: readonly Planted[];
  /** They may belong to uploads that have not ended. */
  readonly young: readonly Planted[];
  /** With keys that the service does not write. */
  readonly foreign: readonly Planted[];
  /** At the keys of contents that are uploaded meanwhile. */
  readonly contested: readonly (Planted & { readonly uploaded: Buffer })[];
}

/** Plans objects without a row: 100 old ones of each kind, younger ones, and foreign ones. */
export function planOrphans(world: World, now: Date): PlantedObjects {
  const old = new Date(now.getTime() - OLD_MS);
  const contested = keysOf(10, (index) => `contested ${index}`).map((text) => ({
    bucket: CONTENT,
    key: contentKey(sha256(text)),
    bytes: bytesOf(text),
    createdAt: old,
    uploaded: Buffer.from(text),
  }));
  return {
    orphans: unknownKeys(world, 'old', old, { content: 40, variant: 30, incoming: 30 }),
    young: unknownKeys(world, 'young', now, { content: 10, variant: 10, incoming: 10 }),
    foreign: FOREIGN.map((at) => ({ ...at, bytes: bytesOf(at.key), createdAt: old })),
    contested,
  };
}
