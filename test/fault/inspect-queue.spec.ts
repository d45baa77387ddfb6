import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import sharp from 'sharp';
import { INSPECT_QUEUE, PROCESS_QUEUE } from '#libs/queue';
import { put } from '../e2e/stack.js';
import { NAMES } from '../../libs/testing/src/emulators.js';
import type { Fleet, Member } from '../support/fleet.js';
import { QUEUE_BACKENDS, type QueueBackend } from '../support/redis.js';
import { type HoldOptions, TcpProxy } from '../support/tcp-proxy.js';
import { until } from '../../libs/testing/src/until.js';
import { type FaultyFleet, startFaultyFleet } from './faulty-fleet.js';
import { expectConsistent, expectReady, hurryTasks, requestUpload, rows } from './uploads.js';

const HOUR_MS = 3_600_000;
/** GET requests for an incoming object before those of the second job: one by the event handler, two by the first job. */
const GETS_BEFORE_INSPECTION = 3;

describe.each(QUEUE_BACKENDS)(
  'a file that needs a reader by its bytes (real: api and workers as processes, PostgreSQL, queue on %s, emulators)',
  (backend, startQueue) => {
    let server: QueueBackend;
    let parts: FaultyFleet;
    let { fleet, faults } = {} as FaultyFleet;
    let queueProxy: TcpProxy;
    let queues: ReturnType<Fleet['openQueue']>[];

    beforeAll(async () => {
      server = await startQueue();
      const { url } = server;
      parts = await startFaultyFleet({ workers: 0, env: { REDIS_URL: url } });
      ({ fleet, faults } = parts);
      queueProxy = url === undefined ? parts.proxy : await TcpProxy.start(new URL(url).host);
      queues = [PROCESS_QUEUE, INSPECT_QUEUE].map((name) => fleet.openQueue(name));
    });
    afterEach(async () => {
      await faults.clear();
      await Promise.all(fleet.workers.splice(0).map((worker) => worker.end('SIGKILL')));
    });
    afterAll(async () => {
      await Promise.all(queues.map((queue) => queue.close()));
      await parts[Symbol.asyncDispose]();
      if (queueProxy !== parts.proxy) await queueProxy[Symbol.asyncDispose]();
      await server[Symbol.asyncDispose]();
    });

    const startWorker = (): Promise<Member> =>
      fleet.addWorker({
        ...parts.behindProxy,
        REDIS_URL: server.url && queueProxy.urlOf(server.url),
        JOB_LOCK_SECONDS: '2',
      });

    let owners = 7_800_000;
    /** Uploads a picture declared as octet-stream, so that only its first bytes show that it needs a reader. */
    async function sendPicture(before: (id: string) => Promise<unknown>): Promise<string> {
      const subject = String(++owners);
      const create = {
        width: 8,
        height: 8,
        channels: 3 as const,
        background: { r: owners % 256, g: 0, b: 0 },
      };
      const bytes = await sharp({ create }).png().toBuffer();
      const options = { subject, mimeType: 'application/octet-stream' };
      const { id, ticket } = await requestUpload(fleet, bytes, options);
      await before(id);
      expect(await put(ticket, bytes)).toBe(200);
      return id;
    }

    /** States of the asset's job in both queues. */
    async function jobStates(id: string): Promise<string[]> {
      const [asset] = await rows<{ generation: string }>(
        fleet,
        'select claimed_generation as generation from media_assets where asset_id = $1',
        [id],
      );
      return Promise.all(queues.map((queue) => queue.getJobState(`${id}.${asset!.generation}.1`)));
    }

    it('moves to the other queue, and becomes READY after one job in each', async () => {
      const worker = await startWorker();
      const id = await sendPicture(async (id) => {
        const match = { bucket: NAMES.incomingBucket, keyPrefix: id, method: 'GET' };
        await faults.add({ match, times: GETS_BEFORE_INSPECTION, action: { delayMs: 0 } });
        await faults.add({ match, times: 1, action: { delayMs: HOUR_MS } });
      });
      const hasMoved = async () => {
        const [processing, inspection] = await jobStates(id);
        return processing === 'unknown' && inspection === 'active' ? true : null;
      };
      await until('only the other queue has the job, and the job is active', hasMoved);
      await faults.clear();
      await expectReady(fleet, [id]);
      await expectConsistent(fleet);
      expect(await jobStates(id)).toEqual(['unknown', 'unknown']);
      expect(await (await worker.fetch('/metrics')).text()).toMatch(
        /^stowage_processing_stage_seconds_count\{stage="read",outcome="reader-needed"\} 1$/m,
      );
    });

    it.each<[string, HoldOptions['what']]>([
      ['before the job enters the other queue', 'request'],
      ['after the job entered the other queue and before it leaves the first', 'answer'],
    ])('is not lost when the worker dies %s', async (_, what) => {
      const worker = await startWorker();
      let isHeld!: () => boolean;
      const id = await sendPicture((id) => {
        const after = [...(backend === 'PostgreSQL' ? ['add_jobs_bulk'] : []), INSPECT_QUEUE, id];
        const hold = queueProxy.hold({ what, after });
        isHeld = () => hold.isHolding;
        return Promise.resolve();
      });
      await until('the move of the job is held', () => isHeld() || null);
      expect(await jobStates(id)).not.toEqual(['unknown', 'unknown']);
      expect(await worker.end('SIGKILL')).toBeNull();
      await startWorker();
      await hurryTasks(fleet);
      await expectReady(fleet, [id]);
      await expectConsistent(fleet);
    });
  },
);
