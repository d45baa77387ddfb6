import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { emptyWorld } from '../../support/empty-world.js';
import { QUEUE_BACKENDS, type QueueBackend } from '../../support/redis.js';
import { World } from '../../../libs/testing/src/world.js';

describe.each(QUEUE_BACKENDS)(
  'a repeated event for an object (real: PostgreSQL, queue on %s, storage emulator)',
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

    const idsOfJobs = async () => (await world.queue.getJobs(['prioritized', 'delayed'])).map(({ id }) => id);

    it('enqueues a job that was lost', async () => {
      const { id, job } = await world.received('abc');
      const jobId = `${id}.${job.generation}.1`;
      await world.queue.remove(jobId);
      expect(await world.completion.checkObject(id)).toBe('known');
      expect(await idsOfJobs()).toEqual([jobId]);
    });

    it('enqueues no second job while the other queue holds the job', async () => {
      const { id, job } = await world.received('abc');
      await world.jobs.enqueueInspection({ received: job, priority: 1 });
      await world.queue.remove(`${id}.${job.generation}.1`);
      expect(await world.completion.checkObject(id)).toBe('known');
      expect(await idsOfJobs()).toEqual([]);
    });
  },
);
