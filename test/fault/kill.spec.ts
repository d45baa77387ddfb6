import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { PROCESS_QUEUE } from '#libs/queue';
import { put } from '../e2e/stack.js';
import { NAMES } from '../../libs/testing/src/emulators.js';
import { QUEUE_BACKENDS, type QueueBackend } from '../support/redis.js';
import { TcpProxy } from '../support/tcp-proxy.js';
import { type FaultyFleet, startFaultyFleet } from './faulty-fleet.js';
import {
  assetStates,
  expectConsistent,
  expectReady,
  hurryTasks,
  requestUpload,
  type Requested,
  rows,
  sha256,
} from './uploads.js';
import { until } from '../../libs/testing/src/until.js';

const HOUR_MS = 3_600_000;

/** The statuses of an asset that becomes READY, in order. */
const STATUSES = ['PENDING', 'PROCESSING', 'READY'];

/** A step at which the worker is killed. */
interface Step {
  readonly name: string;
  readonly status: string;
  /** Set if the matched texts name no asset: no other asset may reach the step, so it comes before or after the others. */
  readonly isAlone?: 'first' | 'last';
  /** Holds the asset's work at this step. The returned function tells whether the work is held. */
  arm(subject: Subject): Promise<() => Promise<boolean>>;
}

interface Subject extends Requested {
  readonly step: Step;
  readonly owner: string;
  readonly bytes: string;
}

describe.each(QUEUE_BACKENDS)(
  'a worker killed with SIGKILL at every step (real: api and workers as processes, PostgreSQL, queue on %s, emulators)',
  (backend, startQueue) => {
    let queue: QueueBackend;
    let parts: FaultyFleet;
    let { fleet, proxy, faults } = {} as FaultyFleet;
    /** Proxy to the queue. */
    let queueProxy: TcpProxy;

    beforeAll(async () => {
      queue = await startQueue();
      parts = await startFaultyFleet({ workers: 0, env: { REDIS_URL: queue.url } });
      ({ fleet, proxy, faults } = parts);
      queueProxy = queue.url === undefined ? proxy : await TcpProxy.start(new URL(queue.url).host);
    });
    afterAll(async () => {
      await parts[Symbol.asyncDispose]();
      if (queueProxy !== proxy) await queueProxy[Symbol.asyncDispose]();
      await queue[Symbol.asyncDispose]();
    });

    /** @param lockSeconds how long its jobs stay locked after its death, and within which time it must renew locks */
    const startWorker = (lockSeconds: number) =>
      fleet.addWorker({
        ...parts.behindProxy,
        REDIS_URL: queue.url && queueProxy.urlOf(queue.url),
        DATABASE_POOL: '50',
        WORKER_CONCURRENCY: '64',
        JOB_LOCK_SECONDS: String(lockSeconds),
      });

    const incoming = (id: string, method: string) => ({
      bucket: NAMES.incomingBucket,
      keyPrefix: id,
      method,
    });
    const isHit = (rule: string) => async () => (await faults.hits(rule)) > 0;

    /** Storage delays its answer to the call, after it has answered `passing` calls of this kind. */
    const call =
      (method: string, passing = 0) =>
      async ({ id }: Subject) => {
        const match = incoming(id, method);
        if (passing > 0) await faults.add({ match, times: passing, action: { delayMs: 0 } });
        return isHit(await faults.add({ match, times: 1, action: { delayMs: HOUR_MS } }));
      };
    /** Storage does the work but its answer is lost, and the retry that would find out is delayed. */
    const unanswered =
      (method: string) =>
      async ({ id }: Subject) => {
        const match = incoming(id, method);
        await faults.add({ match, times: 1, action: { cutAfterBytes: 0, direction: 'response' } });
        return isHit(await faults.add({ match, times: 1, action: { delayMs: HOUR_MS } }));
      };
    /** Storage sends the body at one byte per second. */
    const reading = async ({ id }: Subject) => {
      const match = incoming(id, 'GET');
      await faults.add({ match, times: 2, action: { delayMs: 0 } });
      return isHit(
        await faults.add({ match, times: 1, action: { bytesPerSecond: 1, direction: 'response' } }),
      );
    };

    const statement =
      (what: 'request' | 'answer', after: (subject: Subject) => string[], by = () => proxy) =>
      (subject: Subject) => {
        const hold = by().hold({ what, after: after(subject) });
        return Promise.resolve(() => Promise.resolve(hold.isHolding));
      };
    const prisma = (verb: 'INSERT INTO' | 'UPDATE', table: string) => `${verb} "public"."${table}"`;
    const accepting = ({ id }: Subject) => [prisma('UPDATE', 'media_assets'), id];

    /** Name, matched texts, asset status while the request is held, and asset status while the answer is held. */
    const STATEMENTS: [string, (subject: Subject) => string[], Step['status'], Step['status']][] = [
      ['the job loads its asset', ({ id }) => ['assets_load', id], 'PROCESSING', 'PROCESSING'],
      [
        'the stored object is staged',
        ({ bytes }) => ['objects_stage', sha256(bytes)],
        'PROCESSING',
        'PROCESSING',
      ],
      ['READY is written', accepting, 'PROCESSING', 'PROCESSING'],
      [
        'the event is written',
        ({ id }) => [prisma('INSERT INTO', 'domain_events'), id],
        'PROCESSING',
        'PROCESSING',
      ],
      [
        'the reference is counted',
        (subject) => [...accepting(subject), 'set ref_count = ref_count + 1'],
        'PROCESSING',
        'PROCESSING',
      ],
      [
        'the quota is updated',
        ({ owner }) => [prisma('UPDATE', 'owner_quotas'), owner],
        'PROCESSING',
        'PROCESSING',
      ],
      ['READY is committed', (subject) => [...accepting(subject), 'COMMIT'], 'PROCESSING', 'READY'],
      [
        'the incoming object is recorded as deleted',
        ({ id }) => ['assets_incoming_settled', id],
        'READY',
        'READY',
      ],
    ];
    /** Claims run in one batch after another: while one batch is held, no other asset is claimed. */
    const CLAIMING: typeof STATEMENTS = [
      ['the claim', ({ id }) => ['assets_claim', id], 'PENDING', 'PROCESSING'],
    ];
    // The job runs while the answer is held: the queue does not wait for the process that added the job.
    const ENQUEUEING: typeof STATEMENTS = [
      [
        'the job is enqueued',
        ({ id }) => (backend === 'Redis' ? [id] : ['add_jobs_bulk', id]),
        'PROCESSING',
        'READY',
      ],
    ];
    /** A held completion occupies one of the few connections of the queue's worker, which all other jobs need. */
    const FINISHING: typeof STATEMENTS = [
      ['the job is finished', ({ id }) => ['move_to_completed', id], 'READY', 'READY'],
    ];
    const NAMELESS: typeof STATEMENTS = [
      ['the copy is recorded', () => ['objects_record_copy'], 'PROCESSING', 'PROCESSING'],
    ];

    const steps = (statements: typeof STATEMENTS, isAlone?: Step['isAlone'], by = () => proxy) =>
      statements.flatMap(([name, after, before, then]): Step[] => [
        { name: `before ${name}`, status: before, isAlone, arm: statement('request', after, by) },
        { name: `after ${name}`, status: then, isAlone, arm: statement('answer', after, by) },
      ]);
    const CALLS: Step[] = [
      // Events of one batch wait for each other's answers.
      { name: 'the event handler checks the object', status: 'PENDING', isAlone: 'last', arm: call('GET') },
      { name: 'the job checks the object', status: 'PROCESSING', arm: call('GET', 1) },
      { name: 'the bytes are being read', status: 'PROCESSING', arm: reading },
      { name: 'the copy is requested', status: 'PROCESSING', arm: call('POST') },
      { name: 'the copy is made and its answer is lost', status: 'PROCESSING', arm: unanswered('POST') },
      { name: 'the deletion of the incoming object is requested', status: 'READY', arm: call('DELETE') },
      {
        name: 'the incoming object is deleted and the answer is lost',
        status: 'READY',
        arm: unanswered('DELETE'),
      },
      { name: 'the job checks for a late object', status: 'READY', arm: call('GET', 3) },
    ];
    const CLAIMED_JOB: Step = {
      name: 'after the queue handed out the job',
      status: 'PROCESSING',
      // The worker takes no other job while this answer is held, and a job that completes would fetch this one first.
      isAlone: 'last',
      arm: statement('answer', () => ['FROM move_to_active', PROCESS_QUEUE]),
    };

    let owners = 7_000_000;
    /** Uploads a new file for a step and waits until the worker is held at the step, or was and has gone on. */
    async function holdAt(step: Step): Promise<Subject> {
      const owner = String(++owners);
      const bytes = `bytes of ${owner} for "${step.name}"`;
      const subject = { step, owner, bytes, ...(await requestUpload(fleet, bytes, { subject: owner })) };
      const isHeld = await step.arm(subject);
      expect(await put(subject.ticket, bytes)).toBe(200);
      const hasReached = async () => {
        const [asset] = await assetStates(fleet, [subject.id]);
        return (await isHeld()) && STATUSES.indexOf(asset!.status) >= STATUSES.indexOf(step.status)
          ? true
          : null;
      };
      await until(`the worker is held: ${step.name}`, hasReached);
      return subject;
    }

    /**
     * Holds a worker at all of these steps at once, kills it, and lets another worker complete the assets.
     * @returns the steps that the worker had left for another status when it was killed: it abandons a held statement or call after
     * 15 s
     */
    async function killOnceAt(all: readonly Step[], lateCalls: 'before' | 'after'): Promise<Step[]> {
      const first = await startWorker(7);
      const subjects: Subject[] = [];
      for (const step of all.filter(({ isAlone }) => isAlone === 'first')) subjects.push(await holdAt(step));
      subjects.push(...(await Promise.all(all.filter(({ isAlone }) => isAlone === undefined).map(holdAt))));
      for (const step of all.filter(({ isAlone }) => isAlone === 'last')) subjects.push(await holdAt(step));
      expect(await first.end('SIGKILL')).toBeNull();
      const ids = subjects.map(({ id }) => id);
      const there = await assetStates(fleet, ids);
      // Storage still executes the calls that the killed worker had sent.
      if (lateCalls === 'before') await faults.clear();
      const second = await startWorker(2);
      await hurryTasks(fleet);
      await expectReady(fleet, ids);
      if (lateCalls === 'after') await faults.clear();
      await expectConsistent(fleet);
      expect(await rows(fleet, 'select distinct ref_count, state from stored_objects')).toEqual([
        { ref_count: 1, state: 'LIVE' },
      ]);
      expect(await second.end()).toBe(0);
      return subjects.map(({ step }) => step).filter(({ status }, index) => there[index]!.status !== status);
    }

    /** Kills a worker at each of these steps. A slow machine, on which not all are held at once, needs several kills. */
    async function killAt(all: readonly Step[], lateCalls: 'before' | 'after'): Promise<void> {
      for (let left = all; left.length > 0;) left = await killOnceAt(left, lateCalls);
    }

    const half = Math.floor(STATEMENTS.length / 2);
    const isSql = backend === 'PostgreSQL';
    const atEnd = isSql ? steps(FINISHING, 'last') : [];
    const claimSteps = [...steps(CLAIMING), ...steps(ENQUEUEING, undefined, () => queueProxy)];
    const alone = claimSteps.map((step): [string, Step[]] => [step.name, [step]]);
    it.each<[string, Step[]]>([
      ['storage calls', [...CALLS, ...steps(NAMELESS, 'first')]],
      ['statements of the first half of the job', steps(STATEMENTS.slice(0, half))],
      ['statements of the second half of the job', [...steps(STATEMENTS.slice(half)), ...atEnd]],
      ...alone,
    ])('completes every asset once after a kill at: %s', (_, all) => killAt(all, 'before'));

    it('ignores calls of the killed worker that reach storage after the job is done', () =>
      killAt(isSql ? [...CALLS, CLAIMED_JOB] : CALLS, 'after'));
  },
);
