import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import pg from 'pg';
import { StowageError } from '#libs/domain';
import type { RequestedUpload, UploadRequest } from '#libs/upload';
import { until } from '../../../libs/testing/src/until.js';
import { actor, CONTENT, requestFor, sha256, World } from '../../../libs/testing/src/world.js';

const BATCH = 100;

const batchOf = (count: number, textOf: (index: number) => string): UploadRequest[] =>
  Array.from({ length: count }, (_, index) => requestFor(textOf(index)));

describe('a batch with duplicates of the owner’s objects (real: PostgreSQL, storage emulator)', () => {
  let world: World;
  let other: pg.Client;
  beforeAll(async () => {
    world = await World.start();
    other = new pg.Client({ connectionString: world.testDatabase.url });
    await other.connect();
  });
  afterAll(async () => {
    await other.end();
    await world[Symbol.asyncDispose]();
  });

  const ask = (ownerId: bigint, batch: UploadRequest[]) =>
    world.uploads.requestAll(actor(ownerId), batch, 'r');
  const outcomeOf = (result: RequestedUpload | StowageError) =>
    result instanceof StowageError
      ? result.reason
      : `${result.asset.status}${result.ticket ? ' to send' : ''}`;
  const outcomes = (results: (RequestedUpload | StowageError)[]) => [...new Set(results.map(outcomeOf))];

  /** The statements that clients of the pool run during `work`. */
  async function statementsOf(work: () => Promise<unknown>): Promise<string[]> {
    const statements: string[] = [];
    const clients = new Set<pg.ClientBase>();
    const { prototype } = pg.Client;
    const query = prototype.query;
    const { pool } = world.database;
    const remember = (client: pg.ClientBase) => clients.add(client);
    pool.on('acquire', remember);
    prototype.query = function (this: pg.Client, ...args: [{ name?: string; text?: string } | string]) {
      const [first] = args;
      const { name, text } = typeof first === 'string' ? { name: undefined, text: first } : first;
      if (clients.has(this)) statements.push(name ?? text ?? '');
      return Reflect.apply(query, this, args) as unknown;
    } as typeof query;
    try {
      await work();
    } finally {
      prototype.query = query;
      pool.off('acquire', remember);
    }
    return statements;
  }

  /** Expects references, quota and stored bytes to match the assets. */
  async function expectExact(ownerId: bigint, text: string) {
    const assets = await world.database.prisma.mediaAsset.findMany({ where: { ownerId } });
    const ready = assets.filter(({ status }) => status === 'READY');
    const stored = (await world.storedObjects()).find(({ sha256: sum }) => sum === sha256(text));
    expect(stored?.refCount ?? 0).toBe(ready.length);
    if (ready.length > 0) {
      expect(stored).toMatchObject({ state: 'LIVE', pinnedUntil: null });
      expect(await world.objects(CONTENT)).toContain(ready[0]!.objectKey);
    }
    const sum = (counted: typeof assets) =>
      counted.reduce((bytes, { sizeBytes }) => bytes + Number(sizeBytes), 0);
    const pending = assets.filter(({ status }) => status === 'PENDING');
    expect(await world.quotas.of(ownerId)).toMatchObject({
      usedAssets: ready.length,
      usedBytes: sum(ready),
      reservedAssets: pending.length,
      reservedBytes: sum(pending),
    });
    for (const { assetId } of ready.filter((asset) => asset.claimedGeneration === null))
      expect(await world.events(assetId)).toEqual(['asset.adopted']);
  }

  it.each([2, BATCH])('runs a fixed number of statements for %s items', async (count) => {
    const owner = BigInt(1000 + count);
    const text = (index: number) => `${owner} has ${index % 10}`;
    for (let index = 0; index < Math.min(count, 10); index++)
      await world.upload(text(index), {}, actor(owner));
    const own = batchOf(count, text);
    const keyed = own.map((each, index) => ({ ...each, idempotencyKey: `k${index}` }));
    const fresh = batchOf(count, (index) => `${owner} sends ${index}`);
    expect(await statementsOf(() => ask(owner, own))).toEqual([
      'upload_create',
      'quota_find',
      'upload_adopt',
    ]);
    expect(await statementsOf(() => ask(owner, keyed))).toEqual([
      'upload_create',
      'upload_find_replayed',
      'quota_find',
      'upload_adopt',
    ]);
    expect(await statementsOf(() => ask(owner, fresh))).toEqual(['upload_create']);
    expect(await world.database.prisma.mediaAsset.count({ where: { ownerId: owner, status: 'READY' } })).toBe(
      Math.min(count, 10) + 2 * count,
    );
  });

  it('shares existing objects, issues tickets for the rest and stores the details of each item', async () => {
    const owner = 1n;
    const first = await world.upload('mine', {}, actor(owner));
    const results = await ask(owner, [
      requestFor('mine', { metadata: [{ key: 'n', value: '0' }], filename: 'again.txt' }),
      requestFor('not mine'),
      requestFor('mine', { mimeType: 'text/csv' }),
      requestFor('mine', {
        mimeType: 'application/octet-stream',
        acl: [{ principal: 'group:readers', permissions: ['READ' as const] }],
        idempotencyKey: 'k',
      }),
      requestFor('mine', { sizeBytes: 5 }),
      requestFor('mine', { idempotencyKey: 'k' }),
    ]);
    expect(results.map(outcomeOf)).toEqual([
      'READY',
      'PENDING to send',
      'PENDING to send',
      'READY',
      'PENDING to send',
      'IDEMPOTENCY_KEY_REUSED',
    ]);
    const [again, , , untyped] = results as RequestedUpload[];
    for (const { asset } of [again!, untyped!]) {
      const read = await world.assets.find(actor(owner), asset.id);
      expect({ ...read, details: undefined }).toEqual({ ...asset, details: undefined });
      expect((await world.assets.details([asset.id])).get(asset.id)).toEqual(asset.details);
      expect(asset).toMatchObject({
        mimeType: 'text/plain',
        objectKey: first.objectKey,
        storedObjectId: first.storedObjectId,
      });
    }
    expect(again!.asset).toMatchObject({
      filename: 'again.txt',
      details: { metadata: [{ key: 'n', value: '0' }] },
    });
    expect(untyped!.asset.details).toMatchObject({ acl: [{ principal: 'group:readers' }] });
    await expectExact(owner, 'mine');
  });

  it('shares as many as the quota allows, however many batches run at once', async () => {
    const owner = 2n;
    await world.database.prisma.ownerQuota.create({ data: { ownerId: owner, limitAssets: 31 } });
    await world.upload('limited', {}, actor(owner));
    const results = await Promise.all(
      Array.from({ length: 6 }, () =>
        ask(
          owner,
          batchOf(10, () => 'limited'),
        ),
      ),
    );
    const all = results.flat().map(outcomeOf);
    expect(all.filter((outcome) => outcome === 'READY')).toHaveLength(30);
    expect(all.filter((outcome) => outcome === 'QUOTA_EXCEEDED')).toHaveLength(30);
    await expectExact(owner, 'limited');
  });

  /** Runs batches that wait for a change of the stored object, then commits the change. */
  async function afterChange(owner: bigint, text: string, change: string, batches: UploadRequest[][]) {
    await other.query('begin');
    await other.query(`update stored_objects set ${change} where sha256 = $1`, [sha256(text)]);
    const asked = Promise.all(batches.map((batch) => ask(owner, batch)));
    await until('the batches wait', async () => {
      const { rows } = await world.database.pool.query(
        `select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`,
      );
      return rows.length === batches.length || null;
    });
    await other.query('commit');
    return asked;
  }

  it('shares what still fits when a concurrent batch took the rest of the quota', async () => {
    const owner = 3n;
    await world.database.prisma.ownerQuota.create({ data: { ownerId: owner, limitAssets: 15 } });
    await world.upload('nearly full', {}, actor(owner));
    const batches = [1, 2].map(() => batchOf(10, () => 'nearly full'));
    const results = await afterChange(owner, 'nearly full', 'pinned_until = null', batches);
    expect(results.map(outcomes).toSorted()).toEqual([['READY'], ['READY', 'QUOTA_EXCEEDED']]);
    await expectExact(owner, 'nearly full');
  });

  it('shares once for each key when a concurrent batch uses the keys', async () => {
    const owner = 4n;
    await world.upload('keyed', {}, actor(owner));
    const keyed = batchOf(20, () => 'keyed').map((each, index) =>
      index < 10 ? { ...each, idempotencyKey: `k${index}` } : each,
    );
    const batches = [keyed, keyed.toReversed()];
    const [one = [], two = []] = await afterChange(owner, 'keyed', 'pinned_until = null', batches);
    expect(outcomes([...one, ...two])).toEqual(['READY']);
    const ids = (results: typeof one) => results.map((result) => (result as RequestedUpload).asset.id);
    expect(ids(two).toReversed().slice(0, 10)).toEqual(ids(one).slice(0, 10));
    expect(new Set([...ids(one), ...ids(two)]).size).toBe(30);
    await expectExact(owner, 'keyed');
  });

  it('issues tickets for all items when the object is deleted concurrently', async () => {
    const owner = 5n;
    await world.upload('taken away', {}, actor(owner));
    const batch = batchOf(BATCH, () => 'taken away');
    const [results = []] = await afterChange(owner, 'taken away', `state = 'DELETING'`, [batch]);
    expect(outcomes(results)).toEqual(['PENDING to send']);
    const [stored] = (await world.storedObjects()).filter(({ sha256: sum }) => sum === sha256('taken away'));
    expect(stored).toMatchObject({ refCount: 1, state: 'DELETING' });
    expect(await world.quotas.of(owner)).toMatchObject({ usedAssets: 1, reservedAssets: BATCH });
  });

  it('adds its references to a concurrent change of the count', async () => {
    const owner = 6n;
    await world.upload('counted', {}, actor(owner));
    const batch = batchOf(BATCH, () => 'counted');
    const [results = []] = await afterChange(owner, 'counted', 'ref_count = ref_count + 7', [batch]);
    expect(outcomes(results)).toEqual(['READY']);
    const [stored] = (await world.storedObjects()).filter(({ sha256: sum }) => sum === sha256('counted'));
    expect(stored).toMatchObject({ refCount: 1 + 7 + BATCH });
  });

  it('is applied as a whole while the only other asset with the bytes is purged', async () => {
    for (let round = 0; round < 20; round++) {
      const owner = BigInt(2000 + round);
      const text = `purged in round ${round}`;
      const { id } = await world.upload(text, {}, actor(owner));
      const purge = async () => {
        await new Promise((resolve) => setTimeout(resolve, round));
        await world.removal.purge(actor(owner), id);
      };
      const [results] = await Promise.all([
        ask(
          owner,
          batchOf(BATCH, () => text),
        ),
        purge(),
      ]);
      // One statement shares the object for all items or for none.
      expect([['READY'], ['PENDING to send']]).toContainEqual(outcomes(results));
      const assets = await world.database.prisma.mediaAsset.count({ where: { ownerId: owner } });
      expect(assets).toBe(BATCH);
      const stored = (await world.storedObjects()).find(({ sha256: sum }) => sum === sha256(text));
      const ready = outcomeOf(results[0]!) === 'READY' ? BATCH : 0;
      expect(stored?.refCount ?? 0).toBe(ready);
      if (ready > 0) {
        expect(await world.objects(CONTENT)).toContain((results[0] as RequestedUpload).asset.objectKey);
      }
      expect(await world.quotas.of(owner)).toMatchObject({
        usedAssets: ready,
        reservedAssets: BATCH - ready,
      });
    }
  });
});
