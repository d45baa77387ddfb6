import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { PROCESS_QUEUE } from '#libs/queue';
import { put } from '../e2e/stack.js';
import { NAMES } from '../integration/storage/emulators.js';
import { QUEUE_BACKENDS, type QueueBackend } from '../support/redis.js';
import { TcpProxy } from '../support/tcp-proxy.js';
import { type FaultyFleet, startFaultyFleet } from './faulty-fleet.js';
import {
  assetStates,
  expectConsistent,
  expectReady,
  hurrySweepers,
  requestUpload,
  type Requested,
  rows,
  sha256,
} from './uploads.js';
import { until } from '../support/until.js';

const HOUR_MS = 3_600_000;

/** Where the worker is when it dies. */
interface Step {
  readonly name: string;
  readonly status: 'PENDING' | 'PROCESSING' | 'READY';
  /** What it is recognized by names no asset, so that nobody else may be on the way to it. */
  readonly isAlone?: 'first' | 'last';
  /** Arranges that the asset's work stands still there; the function tells when it does. */
  arm(subject: Subject): Promise<() => Promise<boolean>>;
}

interface Subject extends Requested {
  readonly step: Step;
  readonly owner: string;
  readonly bytes: string;
}

describe.each(QUEUE_BACKENDS)(
  'a worker killed with -9 at every step (real: api and workers as processes, PostgreSQL, queue on %s, emulators)',
  (backend, startQueue) => {
    let queue: QueueBackend;
    let parts: FaultyFleet;
    let { fleet, proxy, door } = {} as FaultyFleet;
    /** To the queue. */
    let queueProxy: TcpProxy;

    beforeAll(async () => {
      queue = await startQueue();
      parts = await startFaultyFleet({ workers: 0, env: { REDIS_URL: queue.url } });
      ({ fleet, proxy, door } = parts);
      queueProxy = queue.url === undefined ? proxy : await TcpProxy.start(new URL(queue.url).host);
    });
    afterAll(async () => {
      await parts[Symbol.asyncDispose]();
      if (queueProxy !== proxy) await queueProxy[Symbol.asyncDispose]();
      await queue[Symbol.asyncDispose]();
    });

    /** @param lockSeconds how long its jobs wait when it is dead, and how long it may be slow while it lives */
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
    const struck = (rule: string) => async () => (await door.hits(rule)) > 0;

    /** The call reached storage and waits there, after `passing` of its kind have been answered. */
    const call =
      (method: string, passing = 0) =>
      async ({ id }: Subject) => {
        const match = incoming(id, method);
        if (passing > 0) await door.add({ match, times: passing, action: { delayMs: 0 } });
        return struck(await door.add({ match, times: 1, action: { delayMs: HOUR_MS } }));
      };
    /** Storage has done it, the answer got lost, and the call that was to find out waits. */
    const unanswered =
      (method: string) =>
      async ({ id }: Subject) => {
        const match = incoming(id, method);
        await door.add({ match, times: 1, action: { cutAfterBytes: 0, direction: 'response' } });
        return struck(await door.add({ match, times: 1, action: { delayMs: HOUR_MS } }));
      };
    /** In the middle of the bytes. */
    const reading = async ({ id }: Subject) => {
      const match = incoming(id, 'GET');
      await door.add({ match, times: 2, action: { delayMs: 0 } });
      return struck(
        await door.add({ match, times: 1, action: { bytesPerSecond: 1, direction: 'response' } }),
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

    /** Statements by what is sent when, and the status when they are about to be done, and when they are. */
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
        (subject) => [...accepting(subject), prisma('UPDATE', 'stored_objects')],
        'PROCESSING',
        'PROCESSING',
      ],
      [
        'the quota is settled',
        ({ owner }) => [prisma('UPDATE', 'owner_quotas'), owner],
        'PROCESSING',
        'PROCESSING',
      ],
      ['READY is committed', (subject) => [...accepting(subject), 'COMMIT'], 'PROCESSING', 'READY'],
      ['incoming is noted as clean', ({ id }) => ['assets_incoming_settled', id], 'READY', 'READY'],
    ];
    /** Claims are made together, one batch after another: while one is held, no other asset is claimed. */
    const CLAIMING: typeof STATEMENTS = [
      ['the claim', ({ id }) => ['assets_claim', id], 'PENDING', 'PROCESSING'],
    ];
    // The queue does not wait for the process that filled it.
    const ENQUEUEING: typeof STATEMENTS = [
      [
        'the job is enqueued',
        ({ id }) => (backend === 'Redis' ? [id] : ['add_jobs_bulk', id]),
        'PROCESSING',
        'READY',
      ],
    ];
    /** It holds a connection of the queue's worker, which has few, and all others need them. */
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
      // Events that come together wait for each other's answers.
      { name: 'storage is asked what came', status: 'PENDING', isAlone: 'last', arm: call('GET') },
      { name: 'the job asks what is there', status: 'PROCESSING', arm: call('GET', 1) },
      { name: 'the bytes are being read', status: 'PROCESSING', arm: reading },
      { name: 'the copy is asked for', status: 'PROCESSING', arm: call('POST') },
      { name: 'the copy is made and not known', status: 'PROCESSING', arm: unanswered('POST') },
      { name: 'incoming is to be deleted', status: 'READY', arm: call('DELETE') },
      { name: 'incoming is deleted and not known', status: 'READY', arm: unanswered('DELETE') },
      { name: 'storage is asked what came late', status: 'READY', arm: call('GET', 3) },
    ];
    const CLAIMED_JOB: Step = {
      name: 'after the queue gave the job away',
      status: 'PROCESSING',
      // After it the worker takes no other job; a job that ends would have taken this one along.
      isAlone: 'last',
      arm: statement('answer', () => ['FROM move_to_active', PROCESS_QUEUE]),
    };

    let owners = 7_000_000;
    /** Uploads something of its own for a step, and waits until its worker is there. */
    async function bring(step: Step): Promise<Subject> {
      const owner = String(++owners);
      const bytes = `what ${owner} sends for "${step.name}"`;
      const subject = { step, owner, bytes, ...(await requestUpload(fleet, bytes, { subject: owner })) };
      const isThere = await step.arm(subject);
      expect(await put(subject.ticket, bytes)).toBe(200);
      const isSo = async () => {
        const [asset] = await assetStates(fleet, [subject.id]);
        return (await isThere()) && asset?.status === step.status ? true : null;
      };
      await until(`the worker stands still: ${step.name}`, isSo);
      return subject;
    }

    /** Brings the worker to all of these steps at once, kills it, and lets another one finish. */
    async function killAt(all: readonly Step[], lateCalls: 'before' | 'after'): Promise<void> {
      const first = await startWorker(7);
      const subjects: Subject[] = [];
      for (const step of all.filter(({ isAlone }) => isAlone === 'first')) subjects.push(await bring(step));
      subjects.push(...(await Promise.all(all.filter(({ isAlone }) => isAlone === undefined).map(bring))));
      for (const step of all.filter(({ isAlone }) => isAlone === 'last')) subjects.push(await bring(step));
      const ids = subjects.map(({ id }) => id);
      const there = await assetStates(fleet, ids);
      expect(there.map(({ status }, index) => [subjects[index]!.step.name, status])).toEqual(
        subjects.map(({ step: { name, status } }) => [name, status]),
      );
      expect(await first.end('SIGKILL')).toBeNull();
      // What the dead one had asked for reaches storage all the same.
      if (lateCalls === 'before') await door.clear();
      const second = await startWorker(2);
      await hurrySweepers(fleet);
      await expectReady(fleet, ids);
      if (lateCalls === 'after') await door.clear();
      await expectConsistent(fleet);
      expect(await rows(fleet, 'select distinct ref_count, state from stored_objects')).toEqual([
        { ref_count: 1, state: 'LIVE' },
      ]);
      expect(await second.end()).toBe(0);
    }

    // All of a group have to be there before the first of them gives up waiting (statements after 15 s), also on a busy machine.
    const half = Math.floor(STATEMENTS.length / 2);
    const isSql = backend === 'PostgreSQL';
    const atEnd = isSql ? steps(FINISHING, 'last') : [];
    const intake = [...steps(CLAIMING), ...steps(ENQUEUEING, undefined, () => queueProxy)];
    const alone = intake.map((step): [string, Step[]] => [step.name, [step]]);
    it.each<[string, Step[]]>([
      ['calls of storage', [...CALLS, ...steps(NAMELESS, 'first')]],
      ['statements up to what is written', steps(STATEMENTS.slice(0, half))],
      ['statements from there to the end of the job', [...steps(STATEMENTS.slice(half)), ...atEnd]],
      ...alone,
    ])('finishes everything once, whichever step the one before was at: %s', (_, all) =>
      killAt(all, 'before'),
    );

    it('is not disturbed by calls of the dead one that storage answers when all is done', () =>
      killAt(isSql ? [...CALLS, CLAIMED_JOB] : CALLS, 'after'));
  },
);
