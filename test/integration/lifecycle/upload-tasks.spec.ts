import { PinoLogger } from 'nestjs-pino';
import { afterAll, afterEach, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { Clock, DatabaseConfig } from '#libs/database';
import { DeclaredTasks, TaskRunner, TaskRunsService, TasksConfig } from '#libs/lifecycle';
import { configured } from '#libs/runtime';
import { TaskSchedule } from '../../../libs/lifecycle/src/jobs/task-schedule.js';
import { TaskExecutionService } from '../../../libs/lifecycle/src/task-execution.service.js';
import { TaskRunsRepository } from '../../../libs/lifecycle/src/task-runs.repository.js';
import { withLocalClockOff } from '../../support/local-clock.js';
import { emptyWorld } from '../../support/empty-world.js';
import { QUEUE_BACKENDS, type QueueBackend } from '../../support/redis.js';
import { actor, INCOMING, World } from '../../../libs/testing/src/world.js';

const later = (minutes: number) => new Date(Date.now() + minutes * 60_000);

/** Runs both tasks of unfinished uploads at a time. @returns the sums of their counts */
async function sweep(world: World, now: Date) {
  const runs = [
    await world.runTask('expire-uploads', { now }),
    await world.runTask('reconcile-uploads', { now }),
  ];
  const sumOf = (count: 'examined' | 'failed') => runs.reduce((sum, run) => sum + run[count], 0);
  return { examined: sumOf('examined'), failed: sumOf('failed') };
}

const removeIncoming = (world: World, now: Date) => world.runTask('remove-incoming', { now });

/** Covers a tick of a task and executes its run, as a worker with this clock does. */
async function runTick(world: World, clock: Clock, name: string): Promise<void> {
  const provided = <T>(type: new (...args: never[]) => T) => world.module.get(type, { strict: false });
  const [tasks, runs, runner] = [provided(DeclaredTasks), provided(TaskRunsRepository), provided(TaskRunner)];
  const logger = await world.module.resolve<PinoLogger>(PinoLogger);
  const schedule = new TaskSchedule(tasks, runs, provided(TaskRunsService), runner, clock, logger);
  const execution = new TaskExecutionService(new TasksConfig(), tasks, runs, runner, clock, logger);
  const long = new Date(Date.now() - 24 * 3_600_000);
  await runs.declare([{ name, schedule: 'every 10 s' }], long);
  await schedule.tick(tasks.find(name)!, new Date());
  for (const { id } of await runs.list(name, 1)) await execution.execute(id, new AbortController().signal);
}

describe('tasks of uploads (real: PostgreSQL, storage emulator)', () => {
  let world: World;
  beforeAll(async () => {
    world = await World.start();
  });
  afterEach(() => emptyWorld(world));
  afterAll(() => world[Symbol.asyncDispose]());

  it('claims an upload whose event was lost', async () => {
    const { id, ticket } = await world.request('abc');
    await world.put(ticket, 'abc');
    expect(await sweep(world, new Date())).toMatchObject({ examined: 0, failed: 0 });
    expect(await sweep(world, later(2))).toMatchObject({ examined: 1, failed: 0 });
    expect(await world.asset(id)).toMatchObject({ status: 'PROCESSING' });
  });

  it('expires an upload without bytes at its deadline, not before, and releases the quota', async () => {
    const { id } = await world.request('abc');
    await sweep(world, later(70));
    expect(await world.asset(id)).toMatchObject({ status: 'PENDING' });
    await sweep(world, later(80));
    expect(await world.asset(id)).toMatchObject({ status: 'EXPIRED' });
    expect(await world.quotas.of(42n)).toMatchObject({ reservedAssets: 0, reservedBytes: 0 });
    expect(await world.events(id)).toEqual(['asset.requested', 'asset.expired']);
  });

  it.each([-2, 2])(
    'compares deadlines with database time and runs no tasks beyond the clock limit: %i hours ahead',
    async (hours) => {
      const fresh = await world.request('abc');
      const due = await world.request('def');
      await world.database.prisma.mediaAsset.update({
        where: { assetId: due.id },
        data: { uploadDeadlineAt: later(-1), nextCheckAt: later(-1) },
      });
      const sweep = async (clockLimitSeconds: number) => {
        const clock = new Clock(configured(DatabaseConfig, { clockLimitSeconds }), world.database);
        await withLocalClockOff(hours * 3_600_000, clock, () => runTick(world, clock, 'expire-uploads'));
        return [(await world.asset(fresh.id)).status, (await world.asset(due.id)).status];
      };
      expect(await sweep(30)).toEqual(['PENDING', 'PENDING']);
      expect(await sweep(86_400)).toEqual(['PENDING', 'EXPIRED']);
    },
  );

  it('claims bytes that are stored at the deadline instead of expiring the upload', async () => {
    const { id, ticket } = await world.request('abc');
    await world.put(ticket, 'abc');
    await sweep(world, later(80));
    expect(await world.asset(id)).toMatchObject({ status: 'PROCESSING' });
  });

  it('does not expire an upload that was renewed meanwhile', async () => {
    const { id, asset } = await world.request('abc');
    await world.database.prisma.mediaAsset.update({
      where: { assetId: id },
      data: { uploadDeadlineAt: later(200) },
    });
    expect(await world.transitions.expire(asset, later(80))).toBe(false);
    expect(await world.asset(id)).toMatchObject({ status: 'PENDING' });
  });

  it('checks each asset once among many workers', async () => {
    await Promise.all(Array.from({ length: 20 }, (_, index) => world.request(`file ${index}`)));
    const sweeps = await Promise.all(Array.from({ length: 4 }, () => sweep(world, later(80))));
    expect(sweeps.reduce((sum, { examined }) => sum + examined, 0)).toBe(20);
    expect((await world.events()).filter((type) => type === 'asset.expired')).toHaveLength(20);
  });

  it('expires a FAILED asset after a week, deletes its bytes and releases its reservation', async () => {
    const { id } = await world.received('abc');
    const letter = { source: 'test', assetId: id, error: 'bug', attempts: 5, payload: '{}' };
    const reason = { code: 'PROCESSING_FAILED', message: 'x' } as const;
    expect(await world.transitions.fail(await world.asset(id), reason, letter, new Date())).toBe(true);
    const held = await world.quotas.of(42n);
    expect(held.reservedAssets).toBeGreaterThan(0);

    await sweep(world, later(6 * 24 * 60));
    expect(await world.asset(id)).toMatchObject({ status: 'FAILED' });
    expect(await world.objects(INCOMING)).toEqual([id]);

    await sweep(world, later(7 * 24 * 60 + 1));
    await removeIncoming(world, later(7 * 24 * 60 + 10));
    expect(await world.asset(id)).toMatchObject({
      status: 'EXPIRED',
      statusReason: { code: 'PROCESSING_FAILED' },
    });
    expect(await world.objects(INCOMING)).toEqual([]);
    expect(await world.quotas.of(42n)).toMatchObject({
      reservedAssets: held.reservedAssets - 1,
      reservedBytes: held.reservedBytes - 3,
    });
  });

  it('keeps a FAILED asset for a week even if an older version scheduled an earlier check', async () => {
    const { id } = await world.received('abc');
    const letter = { source: 'test', assetId: id, error: 'bug', attempts: 5, payload: '{}' };
    const reason = { code: 'PROCESSING_FAILED', message: 'x' } as const;
    await world.transitions.fail(await world.asset(id), reason, letter, new Date());
    await world.database.prisma.mediaAsset.update({
      where: { assetId: id },
      data: { nextCheckAt: later(5) },
    });

    expect(await sweep(world, later(6))).toMatchObject({ examined: 1, failed: 0 });
    expect(await world.asset(id)).toMatchObject({ status: 'FAILED' });
    await sweep(world, later(7 * 24 * 60 + 1));
    expect(await world.asset(id)).toMatchObject({ status: 'EXPIRED' });
  });

  it('deletes incoming objects that their assets no longer need', async () => {
    const asset = await world.upload('abc');
    expect(await world.objects(INCOMING)).toEqual([]);
    await world.database.prisma.mediaAsset.update({
      where: { assetId: asset.id },
      data: { incomingPresent: true },
    });
    await world.emulators.put({ bucket: INCOMING, key: asset.id }, Buffer.from('abc'), {
      contentType: 'text/plain',
    });
    expect(await removeIncoming(world, later(80))).toMatchObject({ examined: 1, failed: 0 });
    expect(await world.objects(INCOMING)).toEqual([]);
    expect(await removeIncoming(world, later(200))).toMatchObject({ examined: 0, failed: 0 });
  });

  it('deletes an object that was uploaded again after READY, at the upload deadline', async () => {
    const { id, ticket } = await world.request('abc');
    await world.put(ticket, 'abc');
    await world.completion.checkObject(id);
    await world.process(await world.job(id));
    expect(await world.put(ticket, 'abc')).toBe(200);
    await removeIncoming(world, later(10));
    expect(await world.objects(INCOMING)).toEqual([id]);
    await removeIncoming(world, later(80));
    expect(await world.objects(INCOMING)).toEqual([]);
  });

  it('deletes an object that was uploaded after cancellation, at the upload deadline', async () => {
    const { id, ticket } = await world.request('abc');
    await world.uploads.cancel(actor(), id);
    await world.put(ticket, 'abc');
    expect((await removeIncoming(world, later(10))).examined).toBe(0);
    expect((await removeIncoming(world, later(80))).examined).toBe(1);
    expect(await world.objects(INCOMING)).toEqual([]);
  });
});

describe.each(QUEUE_BACKENDS)(
  'reconcile-uploads (real: PostgreSQL, queue on %s, storage emulator)',
  (_, startQueue) => {
    let queue: QueueBackend;
    let world: World;
    beforeAll(async () => {
      queue = await startQueue();
      world = await World.start({ redisUrl: queue.url });
    });
    afterEach(() => emptyWorld(world));
    afterAll(async () => {
      await world[Symbol.asyncDispose]();
      await queue[Symbol.asyncDispose]();
    });

    it('enqueues a PROCESSING asset again when its job is lost', async () => {
      const { id, job } = await world.received('abc');
      await world.queue.drain();
      expect(await world.queue.getJobs('waiting')).toEqual([]);
      await sweep(world, later(10));
      const jobs = await world.queue.getJobs(['prioritized', 'delayed']);
      expect(jobs.map((queued) => queued.id)).toEqual([`${id}.${job.generation}.1`]);
    });

    it('leaves a queued job alone and checks its asset less often the longer it waits', async () => {
      const [waiting, inspected] = [await world.received('abc'), await world.received('abcd')];
      await world.jobs.enqueueInspection({ received: inspected.job, priority: 1 });
      await world.queue.remove(`${inspected.id}.${inspected.job.generation}.1`);
      const enqueue = jest.spyOn(world.jobs, 'enqueue');
      const minutesAfter = (from: Date, to: Date) => Math.round((to.getTime() - from.getTime()) / 60_000);
      for (const [minutes, wait] of [
        [6, 6],
        [13, 10],
      ] as const) {
        const now = later(minutes);
        expect(await sweep(world, now)).toMatchObject({ examined: 2, failed: 0 });
        for (const { id } of [waiting, inspected]) {
          const row = await world.database.prisma.mediaAsset.findUniqueOrThrow({ where: { assetId: id } });
          expect(minutesAfter(now, row.nextCheckAt)).toBe(wait);
        }
      }
      expect(enqueue).not.toHaveBeenCalled();
      enqueue.mockRestore();
    });
  },
);
