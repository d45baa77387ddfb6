import { expect, it, jest } from '@jest/globals';
import type { Queue } from 'bullmq';
import { Registry } from 'prom-client';
import { HealthChecks } from '#libs/runtime';
import { QueueMetrics } from './queue-metrics.js';

it('asks a queue that is silent nothing again, however often health and metrics are read', async () => {
  const ask = () => jest.fn(() => new Promise<never>(() => undefined));
  const questions = { isPaused: ask(), getJobCounts: ask() };
  const [registry, health] = [new Registry(), new HealthChecks()];
  const queueOf = (name: string) => ({ name, ...questions }) as unknown as Queue;
  new QueueMetrics(queueOf('a'), queueOf('b'), registry, health);
  for (let again = 0; again < 2; again++) {
    for (const [, check] of health.all) void check(AbortSignal.timeout(1));
    expect(await registry.metrics()).not.toMatch(/^stowage_queue_jobs\{/m);
  }
  expect(questions.isPaused).toHaveBeenCalledTimes(1);
  // Once for each queue.
  expect(questions.getJobCounts).toHaveBeenCalledTimes(2);
});
