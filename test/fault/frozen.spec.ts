import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { CRASHES_PER_ATTEMPT, PROCESS_QUEUE } from '#libs/queue';
import { put } from '../e2e/stack.js';
import { NAMES } from '../../libs/testing/src/emulators.js';
import type { Fleet, Member } from '../support/fleet.js';
import { QUEUE_BACKENDS, type QueueBackend } from '../support/redis.js';
import { type Hold, TcpProxy } from '../support/tcp-proxy.js';
import { until } from '../../libs/testing/src/until.js';
import { type FaultyFleet, startFaultyFleet } from './faulty-fleet.js';
import { expectConsistent, expectReady, requestUpload, rows, sha256 } from './uploads.js';

/** Short, because each takeover takes about two lock durations. */
const LOCK_SECONDS = 2;
const HOUR_MS = 3_600_000;

/** A worker with its own proxy to the database. */
interface FreezableWorker {
  readonly member: Member;
  readonly proxy: TcpProxy;
}

interface Subject {
  readonly id: string;
  readonly bytes: string;
}

/** A step of a job at which its worker is frozen. */
interface Step {
  readonly name: string;
  /** Holds the worker at this step of the job. The returned function tells whether the worker has reached the step. */
  stopAt(worker: FreezableWorker, subject: Subject): Promise<() => Promise<boolean> | boolean>;
}

describe.each(QUEUE_BACKENDS)(
  'a worker frozen until another worker has its job (real: api and workers as processes, PostgreSQL, queue on %s, emulators)',
  (_, startQueue) => {
    let backend: QueueBackend;
    let parts: FaultyFleet;
    let queue: ReturnType<Fleet['openQueue']>;
    let { fleet, faults } = {} as FaultyFleet;
    const workers: FreezableWorker[] = [];
    const holds: Hold[] = [];

    beforeAll(async () => {
      backend = await startQueue();
      parts = await startFaultyFleet({ workers: 0, env: { REDIS_URL: backend.url } });
      ({ fleet, faults } = parts);
      queue = fleet.openQueue(PROCESS_QUEUE);
    });
    afterEach(async () => {
      await faults.clear();
      // SIGKILL also ends a frozen process.
      await Promise.all(workers.map(({ member }) => member.end('SIGKILL')));
      await Promise.all(workers.splice(0).map(({ proxy }) => proxy[Symbol.asyncDispose]()));
    });
    afterAll(async () => {
      await queue.close();
      await parts[Symbol.asyncDispose]();
      await backend[Symbol.asyncDispose]();
    });

    async function startWorker(): Promise<FreezableWorker> {
      const proxy = await TcpProxy.start(new URL(fleet.database.url).host);
      const member = await fleet.addWorker({
        DATABASE_URL: proxy.urlOf(fleet.database.url),
        DATABASE_POOL: '30',
        WORKER_CONCURRENCY: '32',
        JOB_LOCK_SECONDS: String(LOCK_SECONDS),
      });
      const worker = { member, proxy };
      workers.push(worker);
      return worker;
    }

    const releaseAll = () => holds.splice(0).forEach((hold) => hold.release());
    const freeze = ({ member }: FreezableWorker) => process.kill(member.pid, 'SIGSTOP');
    const thaw = ({ member }: FreezableWorker) => process.kill(member.pid, 'SIGCONT');

    const call =
      (method: string, passing = 0): Step['stopAt'] =>
      async (worker, { id }) => {
        const match = { bucket: NAMES.incomingBucket, keyPrefix: id, method };
        if (passing > 0) await faults.add({ match, times: passing, action: { delayMs: 0 } });
        const rule = await faults.add({ match, times: 1, action: { delayMs: HOUR_MS } });
        return async () => (await faults.hits(rule)) > 0;
      };
    const statement =
      (what: 'request' | 'answer', after: (subject: Subject) => string[]): Step['stopAt'] =>
      ({ proxy }, subject) => {
        const hold = proxy.hold({ what, after: after(subject) });
        holds.push(hold);
        return Promise.resolve(() => hold.isHolding);
      };
    const accepting = ({ id }: Subject) => ['UPDATE "public"."media_assets"', id];

    const STEPS: Step[] = [
      { name: 'the job loads its asset', stopAt: statement('answer', ({ id }) => ['assets_load', id]) },
      { name: 'the job asks storage for the object', stopAt: call('GET', 1) },
      { name: 'the copy is requested', stopAt: call('POST') },
      {
        name: 'the stored object is staged',
        stopAt: statement('answer', ({ bytes }) => ['objects_stage', sha256(bytes)]),
      },
      { name: 'READY is about to be written', stopAt: statement('request', accepting) },
      {
        name: 'READY is about to be committed',
        stopAt: statement('request', (subject) => [...accepting(subject), 'COMMIT']),
      },
      {
        name: 'READY is committed',
        stopAt: statement('answer', (subject) => [...accepting(subject), 'COMMIT']),
      },
      { name: 'the incoming object is deleted', stopAt: call('DELETE') },
    ];

    let owners = 7_500_000;
    async function send(stopAt: (subject: Subject) => Promise<unknown>, name: string): Promise<Subject> {
      const owner = String(++owners);
      const bytes = `bytes of ${owner} for "${name}"`;
      const { id, ticket } = await requestUpload(fleet, bytes, { subject: owner });
      await stopAt({ id, bytes });
      expect(await put(ticket, bytes)).toBe(200);
      return { id, bytes };
    }

    const jobOf = ({ id }: Subject) =>
      rows<{ generation: string; attempt: number }>(
        fleet,
        'select claimed_generation as generation, attempt from media_assets where asset_id = $1',
        [id],
      ).then(([row]) => queue.getJob(`${id}.${row!.generation}.${row!.attempt}`));
    /** Whether the lock of the job expired and the job was handed out again, or the job is done. */
    async function isTakenOver(subject: Subject): Promise<boolean> {
      const job = await jobOf(subject);
      return job === undefined || (job.stalledCounter > 0 && (await job.isActive()));
    }

    it('only repeats the job, whichever step the worker was at', async () => {
      const first = await startWorker();
      const subjects = await Promise.all(
        STEPS.map(async ({ name, stopAt }) => {
          let isAtStep!: () => Promise<boolean> | boolean;
          const subject = await send(async (of) => (isAtStep = await stopAt(first, of)), name);
          await until(`the worker is at the step: ${name}`, async () => (await isAtStep()) || null);
          return subject;
        }),
      );
      freeze(first);
      const second = await startWorker();
      const areTakenOver = async () => (await Promise.all(subjects.map(isTakenOver))).every(Boolean) || null;
      await until('another worker has every job', areTakenOver);
      thaw(first);
      await expectReady(
        fleet,
        subjects.map(({ id }) => id),
      );
      // Calls and statements of the first worker arrive after the second worker has completed all jobs.
      await faults.clear();
      releaseAll();
      await expectConsistent(fleet);
      for (const { member } of [first, second]) expect(await member.end()).toBe(0);
    });

    it('uses up no attempt, even if more workers are frozen than may crash', async () => {
      let holder: FreezableWorker | undefined;
      const arm = (worker: FreezableWorker, { id }: Subject) => {
        const hold = worker.proxy.hold({ what: 'request', after: ['assets_load', id] });
        holds.push(hold);
        void hold.held.then(() => (holder = worker));
      };
      const pair = [await startWorker(), await startWorker()];
      const armAll = (subject: Subject) => Promise.resolve(pair.forEach((worker) => arm(worker, subject)));
      const subject = await send(armAll, 'frozen again and again');
      await until('a worker has the job', () => holder ?? null);
      for (let times = 0; times <= CRASHES_PER_ATTEMPT; times++) {
        const frozen = holder!;
        freeze(frozen);
        await until('another worker has the job', () => (holder === frozen ? null : true));
        arm(frozen, subject);
        thaw(frozen);
      }
      const job = await jobOf(subject);
      expect(job!.stalledCounter).toBeGreaterThan(CRASHES_PER_ATTEMPT);
      releaseAll();
      await expectReady(fleet, [subject.id]);
      await expectConsistent(fleet);
      for (const { member } of pair) expect(await member.end()).toBe(0);
    });
  },
);
