import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import pg from 'pg';
import type { StowageError } from '#libs/domain';
import { inconsistencies } from '../../support/consistency.js';
import { runUploadTasks } from '../../support/upload-tasks.js';
import { actor, INCOMING, World } from '../../../libs/testing/src/world.js';

const later = (minutes: number) => new Date(Date.now() + minutes * 60_000);
const ROUNDS = 15;

describe('object events in every order (real: PostgreSQL, queue, storage emulator)', () => {
  let world: World;
  beforeAll(async () => {
    world = await World.start();
  });
  afterAll(() => world[Symbol.asyncDispose]());

  /** All state that an event for an asset could change. */
  async function stateOf(id: string, ownerId: bigint) {
    const { prisma } = world.database;
    return {
      asset: await prisma.mediaAsset.findUnique({ where: { assetId: id } }),
      quota: await prisma.ownerQuota.findUnique({ where: { ownerId } }),
      events: await world.events(id),
      stored: await world.storedObjects(),
      content: await world.objects('content'),
    };
  }

  /** Processes a PROCESSING asset, because no worker runs in this test. */
  async function finish(id: string) {
    if ((await world.asset(id)).status === 'PROCESSING') await world.process(await world.job(id));
  }

  const expectConsistent = async () =>
    expect(await inconsistencies(world.testDatabase.url, world.emulators)).toEqual([]);

  describe('an event before its row is visible', () => {
    it.each([
      ['is delivered again', (id: string) => world.completion.checkObject(id)],
      ['is lost and the tasks run', () => runUploadTasks(world, later(2))],
    ])('leads to READY when it %s', async (then, again) => {
      const { id, ticket } = await world.request(then, {}, actor(1n));
      expect(await world.put(ticket, then)).toBe(200);
      const writer = new pg.Client({ connectionString: world.testDatabase.url });
      await writer.connect();
      try {
        const { rows } = await writer.query('delete from media_assets where asset_id = $1 returning *', [id]);
        await writer.query('begin');
        await writer.query(
          'insert into media_assets select * from jsonb_populate_record(null::media_assets, $1)',
          [JSON.stringify(rows[0])],
        );
        expect(await world.completion.checkObject(id)).toBe('early');
        await writer.query('commit');
      } finally {
        await writer.end();
      }
      await again(id);
      await finish(id);
      expect(await world.asset(id)).toMatchObject({ status: 'READY', attempt: 1 });
      await expectConsistent();
    });
  });

  /** Ways to end an upload while its ticket is still valid. */
  const ENDS: [string, (id: string, bytes: string, by: ReturnType<typeof actor>) => Promise<unknown>][] = [
    ['CANCELLED', (id, _, by) => world.uploads.cancel(by, id)],
    ['EXPIRED', (id) => runUploadTasks(world, later(80)).then(() => world.asset(id))],
    ['DELETED', (id, _, by) => world.removal.delete(by, id)],
    ['REJECTED', (id, bytes) => send(id, bytes.toUpperCase())],
    ['READY', (id, bytes) => send(id, bytes)],
    ['DELETED', (id, bytes, by) => send(id, bytes).then(() => world.removal.delete(by, id))],
  ];
  async function send(id: string, bytes: string) {
    const ticket = await world.uploads.renew(actor((await world.asset(id)).ownerId), id);
    expect(await world.put(ticket, bytes)).toBe(200);
    await world.completion.checkObject(id);
    await finish(id);
  }

  it.each(ENDS.map(([status, end], index) => ({ status, end, by: actor(BigInt(10 + index)) })))(
    'discards a late PUT to a $status asset and changes nothing else',
    async ({ status, end, by }) => {
      const bytes = `late for ${by.ownerId}`;
      const { id, ticket } = await world.request(bytes, {}, by);
      await end(id, bytes, by);
      expect(await world.asset(id)).toMatchObject({ status });
      const before = await stateOf(id, by.ownerId);
      expect(await world.put(ticket, bytes)).toBe(200);
      const events = await Promise.all([world.completion.checkObject(id), world.completion.checkObject(id)]);
      expect(events).toContain('discarded');
      expect(await world.completion.checkObject(id)).toBe('nothing-there');
      expect(await stateOf(id, by.ownerId)).toEqual(before);
      await expectConsistent();
    },
  );

  it('keeps a FAILED asset unchanged after further events', async () => {
    const by = actor(20n);
    const { id, job } = await world.received('kept for an operator', {}, by);
    const letter = { source: 'test', assetId: id, error: 'bug', attempts: 5, payload: '{}' };
    const reason = { code: 'PROCESSING_FAILED', message: 'x' } as const;
    await world.transitions.fail(await world.asset(id), reason, letter, new Date());
    const before = await stateOf(id, 20n);
    expect(await world.completion.checkObject(id)).toBe('known');
    await world.process(job);
    expect(await stateOf(id, 20n)).toEqual(before);
    expect((await world.incoming.stat(id))?.version).toBe(job.generation);
  });

  it('discards a late PUT to a purged asset at once', async () => {
    const by = actor(21n);
    const { id, ticket } = await world.request('purged, and sent all the same', {}, by);
    await world.removal.purge(by, id);
    expect(await world.put(ticket, 'purged, and sent all the same')).toBe(200);
    expect(await world.completion.checkObject(id)).toBe('discarded');
    expect(await world.objects(INCOMING)).not.toContain(id);
    expect(await world.events(id)).toEqual(['asset.requested', 'asset.abandoned', 'asset.purged']);
    expect(await world.quotas.of(21n)).toMatchObject({ reservedAssets: 0, usedAssets: 0 });
    expect(await world.objects(INCOMING)).not.toContain(id);
  });

  it('keeps an object whose asset this database does not know, whatever its age', async () => {
    const { id, ticket } = await world.request('lost by a restore', {}, actor(23n));
    expect(await world.put(ticket, 'lost by a restore')).toBe(200);
    await world.database.pool.query('delete from media_assets where asset_id = $1', [id]);
    expect(await world.completion.checkObject(id)).toBe('early');
    expect(await world.completion.checkObject(id, later(11))).toBe('unknown-asset');
    const other = await world.request('purged', {}, actor(23n));
    await world.removal.purge(actor(23n), other.id);
    expect(await world.completion.checkObject(id, later(60 * 24 * 365))).toBe('unknown-asset');
    expect(await world.objects(INCOMING)).toContain(id);
    await world.emulators.client.bucket(INCOMING).file(id).delete();
    await world.database.pool.query('delete from domain_events where asset_id = $1', [id]);
    await world.database.pool.query('delete from owner_quotas where owner_id = 23');
  });

  it('ignores a job of a purged asset', async () => {
    const by = actor(22n);
    const { id, job } = await world.received('READY, purged, and processed again', {}, by);
    await world.process(job);
    await world.removal.purge(by, id);
    const before = await stateOf(id, 22n);
    await world.process(job);
    expect(await stateOf(id, 22n)).toEqual(before);
  });

  it('claims once when completeUpload, events and the tasks run at once', async () => {
    for (let round = 0; round < ROUNDS; round++) {
      const by = actor(BigInt(100 + round));
      const { id, ticket } = await world.request(`all at once, ${round}`, {}, by);
      await world.put(ticket, `all at once, ${round}`);
      await Promise.all([
        world.uploads.complete(by, id),
        world.completion.checkObject(id),
        runUploadTasks(world, later(2)),
        world.completion.checkObject(id),
      ]);
      expect(await world.events(id)).toEqual(['asset.requested', 'asset.received']);
      const { rows } = await world.database.pool.query('select 1 from bullmq.job where id like $1', [
        `${id}.%`,
      ]);
      expect(rows).toHaveLength(1);
      await finish(id);
      expect(await world.asset(id)).toMatchObject({ status: 'READY', attempt: 1 });
    }
    await expectConsistent();
  });

  it('lets exactly one of cancellation and event win and leaves no trace of the other', async () => {
    for (let round = 0; round < ROUNDS; round++) {
      const by = actor(BigInt(200 + round));
      const { id, ticket } = await world.request(`cancelled or not, ${round}`, {}, by);
      await world.put(ticket, `cancelled or not, ${round}`);
      const [cancel, event] = await Promise.allSettled([
        world.uploads.cancel(by, id),
        world.completion.checkObject(id),
      ]);
      const { status } = await world.asset(id);
      if (cancel.status === 'fulfilled') {
        expect(status).toBe('CANCELLED');
        expect(event).toMatchObject({ status: 'fulfilled' });
        expect(event).not.toMatchObject({ value: 'claimed' });
      } else {
        expect(cancel.reason).toMatchObject({ reason: 'UPLOAD_NOT_PENDING' });
        expect(status).toBe('PROCESSING');
      }
      await finish(id);
    }
    await expectConsistent();
  });

  it('lets exactly one of expiry and renewal win', async () => {
    for (let round = 0; round < ROUNDS; round++) {
      const by = actor(BigInt(300 + round));
      const bytes = `renewed or not, ${round}`;
      const { id, asset: requested } = await world.request(bytes, {}, by);
      // Moves the deadline a minute back: tickets have whole seconds, and the renewed one must expire later.
      await world.database.prisma.mediaAsset.update({
        where: { assetId: id },
        data: { uploadDeadlineAt: new Date(requested.uploadDeadlineAt.getTime() - 60_000) },
      });
      const asset = await world.asset(id);
      const [renewal] = await Promise.allSettled([
        world.uploads.renew(by, id),
        runUploadTasks(world, asset.uploadDeadlineAt),
      ]);
      const { status, uploadDeadlineAt } = await world.asset(id);
      if (renewal.status === 'fulfilled') {
        expect(status).toBe('PENDING');
        expect(uploadDeadlineAt.getTime()).toBeGreaterThan(asset.uploadDeadlineAt.getTime());
        expect(await world.put(renewal.value, bytes)).toBe(200);
        expect(await world.completion.checkObject(id)).toBe('claimed');
        await finish(id);
        expect(await world.asset(id)).toMatchObject({ status: 'READY' });
      } else {
        expect((renewal.reason as StowageError).reason).toBe('UPLOAD_NOT_PENDING');
        expect(status).toBe('EXPIRED');
      }
    }
    await expectConsistent();
  });

  it('lets exactly one of expiry and event win and leaves no bytes of an expired upload', async () => {
    for (let round = 0; round < ROUNDS; round++) {
      const by = actor(BigInt(400 + round));
      const bytes = `in time or not, ${round}`;
      const { id, asset, ticket } = await world.request(bytes, {}, by);
      await world.put(ticket, bytes);
      const [expired, event] = await Promise.all([
        world.transitions.expire(asset, asset.uploadDeadlineAt),
        world.completion.checkObject(id),
      ]);
      expect([expired, event]).toEqual(
        expired ? [true, expect.stringMatching(/discarded|nothing/)] : [false, 'claimed'],
      );
      await finish(id);
      expect(await world.asset(id)).toMatchObject({ status: expired ? 'EXPIRED' : 'READY' });
    }
    await expectConsistent();
  });
});
