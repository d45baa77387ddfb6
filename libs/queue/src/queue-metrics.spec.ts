import { expect, it, jest } from '@jest/globals';
import type { Queue } from 'bullmq';
import { Registry } from 'prom-client';
import { QueueMetrics } from './queue-metrics.js';

it('sends no second query to a silent queue for health checks and metrics', async () => {
  const pending = () => jest.fn(() => new Promise<never>(() => undefined));
  const queries = { isPaused: pending(), getJobCounts: pending() };
  const registry = new Registry();
  const queueOf = (name: string) => ({ name, ...queries }) as unknown as Queue;
  const metrics = new QueueMetrics(queueOf('a'), queueOf('b'), queueOf('c'), registry);
  for (let again = 0; again < 2; again++) {
    void metrics.check();
    expect(await registry.metrics()).not.toMatch(/^stowage_queue_jobs\{/m);
  }
  expect(queries.isPaused).toHaveBeenCalledTimes(1);
  // Once for each queue.
  expect(queries.getJobCounts).toHaveBeenCalledTimes(3);
});
