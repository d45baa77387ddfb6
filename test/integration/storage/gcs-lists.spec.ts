import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { ObjectStat } from '#libs/storage';
import { GcsObjectStore } from '#libs/storage/gcs';
import { Emulators } from '../../../libs/testing/src/emulators.js';
import { UNAVAILABLE } from './hostile-storage.js';

const BUCKET = 'whole';

/** Real: the storage emulator over HTTP. */
describe('GcsObjectStore: lists of a whole bucket', () => {
  let emulators: Emulators;
  let store: GcsObjectStore;

  beforeEach(async () => {
    emulators = await Emulators.start();
    await emulators.client.createBucket(BUCKET);
    store = new GcsObjectStore({ endpoint: emulators.gcs.url });
  });
  afterEach(() => emulators[Symbol.asyncDispose]());

  const seed = async (...keys: string[]) => {
    for (const key of keys) await emulators.gcs.damage.put({ bucket: BUCKET, key }, Buffer.from(key));
  };
  const keysOf = (page: readonly ObjectStat[]) => page.map(({ key }) => key);

  it('returns an empty page for an empty bucket', async () => {
    expect(await store.list({ bucket: BUCKET }, 10)).toEqual([]);
    expect(await store.list({ bucket: BUCKET, after: 'a' }, 10)).toEqual([]);
  });

  it('lists all objects without a prefix', async () => {
    await seed('é', 'b', 'a/1');
    expect(keysOf(await store.list({ bucket: BUCKET }, 10))).toEqual(['a/1', 'b', 'é']);
    expect(keysOf(await store.list({ bucket: BUCKET, after: 'a/1' }, 1))).toEqual(['b']);
  });

  it('lists objects that come and go between two pages once at most, and no deleted one', async () => {
    await seed('b', 'c', 'd', 'e');
    expect(keysOf(await store.list({ bucket: BUCKET }, 2))).toEqual(['b', 'c']);
    await seed('a', 'c', 'cc', 'f');
    await emulators.gcs.damage.drop({ bucket: BUCKET, key: 'd' });
    expect(keysOf(await store.list({ bucket: BUCKET, after: 'c' }, 10))).toEqual(['cc', 'e', 'f']);
  });

  it('goes on after the last object of a page even if it is deleted', async () => {
    await seed('a', 'b', 'c');
    const [, last] = await store.list({ bucket: BUCKET }, 2);
    await emulators.gcs.damage.drop({ bucket: BUCKET, key: 'b' });
    expect(keysOf(await store.list({ bucket: BUCKET, after: last?.key }, 10))).toEqual(['c']);
  });

  it('returns the age of each object', async () => {
    const createdAt = new Date('2020-02-29T12:00:00.000Z');
    await emulators.gcs.damage.put({ bucket: BUCKET, key: 'old' }, Buffer.from('x'), { createdAt });
    expect(await store.list({ bucket: BUCKET }, 10)).toMatchObject([{ key: 'old', createdAt }]);
  });

  it('repeats a call that storage rejects once, and is unavailable if it always does', async () => {
    await seed('a');
    const { faults } = emulators.gcs;
    const match = { method: 'GET', bucket: BUCKET };
    const once = faults.add({ match, times: 1, action: { status: 503 } });
    expect(keysOf(await store.list({ bucket: BUCKET }, 10))).toEqual(['a']);
    expect(faults.list()).toMatchObject([{ id: once, hits: 1 }]);
    faults.clear();
    const always = faults.add({ match, action: { status: 503 } });
    await expect(store.list({ bucket: BUCKET }, 10)).rejects.toMatchObject(UNAVAILABLE);
    expect(faults.list()).toMatchObject([{ id: always, hits: 3 }]);
  });

  it('repeats a call whose answer is cut off', async () => {
    await seed('a');
    const cut = { cutAfterBytes: 20, direction: 'response' } as const;
    emulators.gcs.faults.add({ match: { bucket: BUCKET }, times: 1, action: cut });
    expect(keysOf(await store.list({ bucket: BUCKET }, 10))).toEqual(['a']);
  });

  it('is unavailable while storage is down', async () => {
    await emulators.gcs.close();
    await expect(store.list({ bucket: BUCKET }, 10)).rejects.toMatchObject(UNAVAILABLE);
  });
});
