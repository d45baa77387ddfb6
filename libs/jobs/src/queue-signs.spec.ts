import { expect, it, jest } from '@jest/globals';
import type { Queue } from 'bullmq';
import { Registry } from 'prom-client';
import { HealthChecks } from '#libs/runtime';
import { QueueSigns } from './queue-signs.js';

it('asks a queue that is silent nothing again, however often health and metrics are read', async () => {
  const ask = () => jest.fn(() => new Promise<never>(() => undefined));
  const questions = { isPaused: ask(), getJobCounts: ask() };
  const [registry, health] = [new Registry(), new HealthChecks()];
  new QueueSigns({ name: 'silent', ...questions } as unknown as Queue, registry, health);
  for (let again = 0; again < 2; again++) {
    for (const [, check] of health.all) void check(AbortSignal.timeout(1));
    expect(await registry.metrics()).not.toMatch(/^stowage_queue_jobs\{/m);
  }
  for (const question of Object.values(questions)) expect(question).toHaveBeenCalledTimes(1);
});
