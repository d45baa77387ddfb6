import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { contentKey, kindOf, type StowageError } from '#libs/domain';
import type { ObjectStore } from '#libs/storage';
import { actor, CONTENT, requestFor, sha256, World } from '../../../libs/testing/src/world.js';

const DAY_MS = 24 * 3_600_000;

/** Processes a job and retries while the collector holds its object, as the queue would. */
async function finish(world: World, job: Parameters<World['process']>[0]): Promise<void> {
  for (;;) {
    try {
      return await world.process(job);
    } catch (error) {
      if (kindOf(error) !== 'unavailable') throw error;
    }
  }
}

/** Records the calls of a store by name and can make one call fail after its effect. */
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

  it('stores equal files once when they finish together', async () => {
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
      // Each owner is charged for the logical bytes, although they are stored once.
      expect(await world.quotas.of(owner)).toMatchObject({ usedBytes: 8 * 10, usedAssets: 8 });
    }
  });

  it('finishes an upload while the collector deletes its unreferenced object', async () => {
    for (let round = 0; round < 8; round++) {
      const bytes = `collected ${round}`;
      const gone = await world.upload(bytes, {}, actor(40n));
      await world.removal.delete(actor(40n), gone.id);
      const { id, job } = await world.received(bytes, {}, actor(41n));
      const deleted = await world.asset(gone.id);
      // `removal.purge` would collect the object at once.
      await world.transitions.purge(deleted, null);
      const [object] = await objectOf(bytes);
      await Promise.all([
        world.collection.collect(object!.id, new Date(Date.now() + DAY_MS)),
        finish(world, job),
      ]);
      const asset = await world.asset(id);
      // The upload referenced the object in time, kept it by its pin, or stored the bytes again.
      expect(asset.status).toBe('READY');
      expect(await objectOf(bytes)).toMatchObject([{ refCount: 1, state: 'LIVE' }]);
      expect((await objectOf(bytes))[0]!.copies[0]!.version).toBe(await generationOf(bytes));
    }
  });

  it.each([
    ['before', false],
    ['after', true],
  ])(
    'resumes after a worker died between copy and commit, %s the collector ran days later',
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
        await world.runTask('remove-unreferenced', { now: later });
        expect(await objectOf(bytes)).toEqual([]);
      }
      await world.process(await world.job(id));
      expect(await world.asset(id)).toMatchObject({ status: 'READY' });
      expect(await objectOf(bytes)).toMatchObject([{ refCount: 1, state: 'LIVE' }]);
      const now = await generationOf(bytes);
      expect((await objectOf(bytes))[0]!.copies[0]!.version).toBe(now);
      // An object that no row records is never trusted.
      expect(now).not.toBe(stray);
    },
  );

  it('answers and queries identically, step by step, whether or not another owner has the bytes', async () => {
    await world.upload('hit', {}, actor(60n));
    const observed = new Map<string, unknown[]>();
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
      // The bytes are verified at this point; later differences are documented as observable.
      const verified = new Promise<void>((resolve) => (stop = resolve));
      world.database.query = (statement, values) => {
        if (statement.name === 'objects_stage') {
          observed.set(bytes, [...steps, ...recorder.calls]);
          stop();
        }
        return spied(statement, values);
      };
      await Promise.all([world.process(await world.job(id)), verified]);
      world.database.query = query;
    }
    expect(observed.get('hit')!.length).toBeGreaterThan(15);
    expect(observed.get('hit')).toEqual(observed.get('new'));
  });

  it('answers and queries identically for known and new bytes in a batch and for a replacement', async () => {
    await world.upload('known bytes', {}, actor(62n));
    const by = actor(63n);
    const target = await world.upload('bytes to replace', {}, by);
    const query = world.database.query.bind(world.database);
    const observed: unknown[] = [];
    for (const bytes of ['known bytes', 'other bytes']) {
      const steps: unknown[] = [];
      world.database.query = (statement, values) => {
        steps.push(statement.name);
        return query(statement, values);
      };
      recorder.calls.length = 0;
      const batch = await world.uploads.requestAll(by, [requestFor(bytes)], 'test');
      const answers = [...batch, await world.uploads.replace(by, target.id, requestFor(bytes), 'test')];
      for (const answer of answers) {
        const { asset, ticket } = answer as Exclude<typeof answer, StowageError>;
        const { status, version, storedObjectId, mimeType } = asset;
        steps.push(status, version, storedObjectId, mimeType);
        steps.push(ticket!.httpMethod, ticket!.headers);
        steps.push((await world.uploads.complete(by, asset.id)).status);
      }
      world.database.query = query;
      observed.push([...steps, ...recorder.calls]);
    }
    expect(observed[0]).toContain('PENDING');
    expect(observed[0]).toEqual(observed[1]);
  });

  it('shares no object between owners with dedupe scope owner', async () => {
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
    // The owner's own duplicate is still shared.
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
