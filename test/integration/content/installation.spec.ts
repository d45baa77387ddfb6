import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { InstallationService } from '#libs/content';
import { contentKey, INSTALLATION_KEY, OCTET_STREAM, StowageError, variantKey } from '#libs/domain';
import { DeclaredTasks } from '#libs/lifecycle';
import { TaskExecutionService } from '../../../libs/lifecycle/src/task-execution.service.js';
import { TaskRunsRepository } from '../../../libs/lifecycle/src/task-runs.repository.js';
import { emptyWorld } from '../../support/empty-world.js';
import { CONTENT, INCOMING, sha256, World } from '../../../libs/testing/src/world.js';

const later = () => new Date(Date.now() + 9 * 24 * 3_600_000);
const STRAY_ASSET = '019f5b1e-7c4b-7def-8a1b-0123456789ab';

describe('the installation that owns the buckets (real: PostgreSQL, storage emulator)', () => {
  let world: World;
  let installation: string;
  beforeAll(async () => {
    world = await World.start();
    const row = await world.database.prisma.installation.findFirstOrThrow();
    installation = row.id;
  });
  afterAll(() => world[Symbol.asyncDispose]());
  beforeEach(() => emptyWorld(world));

  const marker = () => world.emulators.client.bucket(CONTENT).file(INSTALLATION_KEY);
  const read = async () => JSON.parse((await marker().download())[0].toString()) as unknown;
  const own = () => ({ installation, incomingBucket: INCOMING });
  const write = (text: string) =>
    world.emulators.put({ bucket: CONTENT, key: INSTALLATION_KEY }, Buffer.from(text), {
      contentType: 'application/json',
    });
  const put = (bucket: string, key: string) =>
    world.emulators.put({ bucket, key }, Buffer.from('stray'), { contentType: OCTET_STREAM });
  const collect = (isDryRun = false) => world.runTask('collect-orphans', { now: later(), isDryRun });

  it('is written into empty buckets, which a dry run leaves empty', async () => {
    expect(await collect(true)).toMatchObject({ outcome: 'succeeded' });
    expect(await world.objects(CONTENT)).toEqual([]);
    expect(await collect()).toMatchObject({ outcome: 'succeeded', changed: 0 });
    expect(await read()).toEqual(own());
    expect(await collect()).toMatchObject({ outcome: 'succeeded', changed: 0, actions: [] });
    expect(await world.database.prisma.integrityFinding.count()).toBe(0);
  });

  it('is written beside objects of other programs', async () => {
    await put(CONTENT, 'images/1');
    await put(INCOMING, 'images/2');
    expect(await collect()).toMatchObject({ outcome: 'succeeded', changed: 2 });
    expect(await read()).toEqual(own());
  });

  it('is written when a row records an object of the content bucket', async () => {
    await world.upload('proof');
    await put(CONTENT, contentKey('0'.repeat(64)));
    await put(INCOMING, STRAY_ASSET);
    expect(await collect()).toMatchObject({ outcome: 'succeeded', changed: 2 });
    expect(await read()).toEqual(own());
  });

  it('is written when the content bucket is empty and an incoming object has a row', async () => {
    const { id } = await world.received('waiting');
    await put(INCOMING, STRAY_ASSET);
    expect(await collect()).toMatchObject({ outcome: 'succeeded', changed: 1 });
    expect(await world.objects(INCOMING)).toEqual([id]);
  });

  it.each([
    ['content without a row', () => put(CONTENT, contentKey(sha256('stray')))],
    ['a variant without a row', () => put(CONTENT, variantKey(sha256('stray'), 'webp-320-q80-r1'))],
    ['an incoming object without a row', () => put(INCOMING, STRAY_ASSET)],
    [
      'content with a row that records another version',
      async () => {
        await world.upload('restored');
        await world.database.prisma.objectCopy.updateMany({ data: { version: '1' } });
      },
    ],
    [
      'content without a row, although an incoming object has one',
      async () => {
        await put(CONTENT, contentKey(sha256('stray')));
        await world.received('waiting');
      },
    ],
  ])('is not written when the buckets hold %s', async (_, prepare) => {
    await prepare();
    const before = [await world.objects(CONTENT), await world.objects(INCOMING)];
    for (const isDryRun of [true, false]) {
      const { outcome, error, changed } = await collect(isDryRun);
      expect({ outcome, changed }).toEqual({ outcome: 'failed', changed: 0 });
      expect(error).toMatchObject({ kind: 'conflict', reason: 'BUCKET_UNPROVEN' });
    }
    expect([await world.objects(CONTENT), await world.objects(INCOMING)]).toEqual(before);
  });

  it('can be written by hand as the error says', async () => {
    await put(CONTENT, contentKey(sha256('stray')));
    const { error } = await collect();
    const text = /\{.*\}/.exec((error as StowageError).message)![0];
    await write(text);
    expect(await collect()).toMatchObject({ outcome: 'succeeded', changed: 1 });
  });

  it.each([
    ['another installation', () => JSON.stringify({ ...own(), installation: STRAY_ASSET })],
    ['another incoming bucket', () => JSON.stringify({ ...own(), incomingBucket: 'elsewhere' })],
    ['no JSON', () => 'mine'],
    ['JSON of another form', () => 'null'],
    ['an empty text', () => ''],
    ['a long text', () => JSON.stringify({ ...own(), more: 'x'.repeat(5_000) })],
  ])('protects all objects when it names %s', async (_, text) => {
    await world.upload('mine, perhaps');
    await put(CONTENT, contentKey(sha256('stray')));
    await put(INCOMING, STRAY_ASSET);
    await write(text());
    const before = [await world.objects(CONTENT), await world.objects(INCOMING)];
    for (const isDryRun of [true, false]) {
      const { outcome, error, changed } = await collect(isDryRun);
      expect({ outcome, changed }).toEqual({ outcome: 'failed', changed: 0 });
      expect(error).toMatchObject({ kind: 'conflict', reason: 'INSTALLATION_MISMATCH' });
    }
    expect([await world.objects(CONTENT), await world.objects(INCOMING)]).toEqual(before);
  });

  it('is one when two workers write it at the same time', async () => {
    const service = world.module.get(InstallationService, { strict: false });
    await Promise.all([service.assertOwnBuckets(false), service.assertOwnBuckets(false)]);
    expect(await read()).toEqual(own());
  });

  it('gets a new id with an emptied table, which does not match', async () => {
    await collect();
    await world.database.pool.query('truncate installation');
    expect(await collect()).toMatchObject({ outcome: 'failed', error: { reason: 'INSTALLATION_MISMATCH' } });
    await world.database.pool.query('truncate installation');
    await world.database.prisma.installation.create({ data: { id: installation } });
  });

  it('lets a run over an emptied database wait for an operator', async () => {
    await world.upload('one of many');
    await collect();
    for (let at = 0; at < 30; at++) await put(CONTENT, contentKey(sha256(`many ${at}`)));
    await world.database.pool.query('truncate media_assets, stored_objects cascade');
    const runs = world.module.get(TaskRunsRepository, { strict: false });
    const tasks = world.module.get(DeclaredTasks, { strict: false }).all();
    await runs.declare(
      tasks.map(({ name }) => ({ name, schedule: 'test' })),
      new Date(),
    );
    const { id } = await runs.request('collect-orphans', false);
    await world.database.prisma.taskRun.update({ where: { id }, data: { startedAt: later() } });
    const execution = world.module.get(TaskExecutionService, { strict: false });
    await execution.execute(id, new AbortController().signal);
    expect(await runs.find(id)).toMatchObject({ state: 'WAITING', changed: 31n, planned: 31n });
    expect(await world.objects(CONTENT)).toHaveLength(32);
  });
});
