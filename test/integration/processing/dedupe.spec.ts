import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { contentKey, kindOf } from '#libs/domain';
import type { ObjectStore } from '#libs/storage';
import { actor, CONTENT, sha256, World } from '../../support/world.js';

const DAY_MS = 24 * 3_600_000;

/** The queue comes back to what met the collector at work. */
async function finish(world: World, job: Parameters<World['process']>[0]): Promise<void> {
  for (;;) {
    try {
      return await world.process(job);
    } catch (error) {
      if (kindOf(error) !== 'unavailable') throw error;
    }
  }
}

/** Calls of a store by name, with what they answer, and one that dies after its effect. */
class Recorder {
  readonly calls: string[] = [];
  dieAfter: string | undefined;

  readonly around = (store: ObjectStore): ObjectStore =>
    new Proxy(store, {
      get: (target, name: keyof ObjectStore) => {
        const own: unknown = target[name];
        if (typeof own !== 'function') return own;
        const method = own.bind(target) as (...args: unknown[]) => unknown;
        return (...args: unknown[]) => {
          this.calls.push(name);
          const answer = method(...args);
          if (this.dieAfter !== name) return answer;
          this.dieAfter = undefined;
          return Promise.resolve(answer).then(() => {
            throw new Error('killed');
          });
        };
      },
    });
}

describe('deduplication (real: PostgreSQL, queue, storage emulator)', () => {
  const recorder = new Recorder();
  let world: World;
  beforeAll(async () => {
    world = await World.start({ around: recorder.around });
  });
  afterAll(() => world[Symbol.asyncDispose]());

  const objectOf = async (bytes: string, of = world) =>
    (await of.storedObjects()).filter((object) => object.sha256 === sha256(bytes));
  const generationOf = async (bytes: string) => {
    const [metadata] = await world.emulators.client
      .bucket(CONTENT)
      .file(contentKey(sha256(bytes)))
      .getMetadata();
    return String(metadata.generation);
  };

  it('stores two equal files once that finish together', async () => {
    for (let round = 0; round < 8; round++) {
      const bytes = `together ${round}`;
      const uploads = await Promise.all(
        [30n, 31n, 32n].map((owner) => world.received(bytes, {}, actor(owner))),
      );
      await Promise.all(uploads.map(({ job }) => finish(world, job)));
      for (const { id } of uploads) expect(await world.asset(id)).toMatchObject({ status: 'READY' });
      const objects = await objectOf(bytes);
      expect(objects).toMatchObject([
        { refCount: 3, state: 'LIVE', copies: [{ version: expect.any(String) }] },
      ]);
      expect(objects[0]!.copies[0]!.version).toBe(await generationOf(bytes));
    }
    for (const owner of [30n, 31n, 32n]) {
      // Everybody's own logical bytes, however often they lie there.
      expect(await world.quotas.of(owner)).toMatchObject({ usedBytes: 8 * 10, usedAssets: 8 });
    }
  });

  it('finishes one while the collector deletes what nobody needed', async () => {
    for (let round = 0; round < 8; round++) {
      const bytes = `collected ${round}`;
      const gone = await world.upload(bytes, {}, actor(40n));
      await world.removal.delete(actor(40n), gone.id);
      const { id, job } = await world.received(bytes, {}, actor(41n));
      const deleted = await world.asset(gone.id);
      // Not by `purge`, which collects at once.
      await world.transitions.purge(deleted);
      const [object] = await objectOf(bytes);
      await Promise.all([
        world.stored.collect(object!.id, new Date(Date.now() + DAY_MS)),
        finish(world, job),
      ]);
      const asset = await world.asset(id);
      // Either it was there in time, or its pin kept the object, or it stored the bytes anew.
      expect(asset.status).toBe('READY');
      expect(await objectOf(bytes)).toMatchObject([{ refCount: 1, state: 'LIVE' }]);
      expect((await objectOf(bytes))[0]!.copies[0]!.version).toBe(await generationOf(bytes));
    }
  });

  it.each([
    ['before', false],
    ['after', true],
  ])(
    'goes on where a worker died between copy and commit, %s the collector came by days later',
    async (name, collects) => {
      const bytes = `died ${name}`;
      const { id, job } = await world.received(bytes, {}, actor(50n));
      recorder.dieAfter = 'copy';
      await world.process(job);
      expect(await world.asset(id)).toMatchObject({ status: 'PROCESSING', attempt: 2 });
      expect(await objectOf(bytes)).toMatchObject([
        { refCount: 0, state: 'STAGING', copies: [{ version: null }] },
      ]);
      const stray = await generationOf(bytes);
      const later = new Date(Date.now() + 3 * DAY_MS);
      if (collects) {
        await world.sweeper.sweepObjects(later);
        expect(await objectOf(bytes)).toEqual([]);
      }
      await world.process(await world.job(id));
      expect(await world.asset(id)).toMatchObject({ status: 'READY' });
      expect(await objectOf(bytes)).toMatchObject([{ refCount: 1, state: 'LIVE' }]);
      const now = await generationOf(bytes);
      expect((await objectOf(bytes))[0]!.copies[0]!.version).toBe(now);
      // What no row vouched for is never trusted, whoever wrote it.
      expect(now).not.toBe(stray);
    },
  );

  it('answers and asks the same, step by step, whether a stranger has the bytes or not', async () => {
    await world.upload('hit', {}, actor(60n));
    const seen = new Map<string, unknown[]>();
    for (const bytes of ['hit', 'new']) {
      const steps: unknown[] = [];
      const query = world.database.query.bind(world.database);
      const spied: typeof query = (statement, values) => {
        steps.push(statement.name);
        return query(statement, values);
      };
      const by = actor(61n);
      world.database.query = spied;
      recorder.calls.length = 0;
      const { id, ticket, asset } = await world.request(bytes, {}, by);
      const shown = async () => {
        const { status, statusReason, mimeType, storedObjectId, version } = (await world.assets.find(
          by,
          id,
        ))!;
        return { status, statusReason, mimeType, storedObjectId, version };
      };
      steps.push(
        asset.status,
        asset.version,
        ticket!.headers.map(({ name }) => name),
        await shown(),
      );
      steps.push(await world.put(ticket, bytes), await shown());
      await world.completion.checkObject(id);
      steps.push(await shown());
      let stop: () => void = () => undefined;
      // From here on its bytes are verified: what follows is what is documented as observable.
      const verified = new Promise<void>((resolve) => (stop = resolve));
      world.database.query = (statement, values) => {
        if (statement.name === 'objects_stage') {
          seen.set(bytes, [...steps, ...recorder.calls]);
          stop();
        }
        return spied(statement, values);
      };
      await Promise.all([world.process(await world.job(id)), verified]);
      world.database.query = query;
    }
    expect(seen.get('hit')!.length).toBeGreaterThan(15);
    expect(seen.get('hit')).toEqual(seen.get('new'));
  });

  it('shares nothing where each owner has a place of their own', async () => {
    await using alone = await World.start({ dedupeScope: 'owner' });
    const [one, two, again] = [
      await alone.upload('mine', {}, actor(1n)),
      await alone.upload('mine', {}, actor(2n)),
      await alone.received('mine!', {}, actor(1n)),
    ];
    await alone.process(again.job);
    expect([one.objectKey, two.objectKey]).toEqual([
      contentKey(sha256('mine'), '1'),
      contentKey(sha256('mine'), '2'),
    ]);
    expect(await objectOf('mine', alone)).toMatchObject([
      { scope: '1', refCount: 1 },
      { scope: '2', refCount: 1 },
    ]);
    // The owner's own duplicate is shared all the same.
    const { asset, ticket } = await alone.request('mine', {}, actor(1n));
    expect([asset.status, ticket]).toEqual(['READY', null]);
    await alone.removal.purge(actor(1n), one.id);
    await alone.removal.purge(actor(1n), asset.id);
    expect(await objectOf('mine', alone)).toMatchObject([{ scope: '2', refCount: 1 }]);
    expect((await alone.objects(CONTENT)).sort()).toEqual(
      [contentKey(sha256('mine'), '2'), contentKey(sha256('mine!'), '1')].sort(),
    );
  });
});
