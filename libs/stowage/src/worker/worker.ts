import { NestFactory } from '@nestjs/core';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import { sourceCheck } from '#libs/domain';
import { admitRequests, logThroughPino } from '#libs/runtime';
import type { Feature } from '../feature.js';
import { StowageModule } from '../stowage.module.js';
import type { WorkerConfiguration } from './config.js';

/**
 * Creates the worker. Its HTTP server is for monitoring only; the work comes from Pub/Sub and the queue, and starts with `init` or
 * `listen`.
 */
export async function createWorker(
  config: WorkerConfiguration,
  features: readonly Feature[] = [],
): Promise<NestFastifyApplication> {
  const adapter = new FastifyAdapter();
  const { allowedHosts } = config.monitoring;
  if (allowedHosts !== undefined) {
    admitRequests(adapter.getInstance(), sourceCheck({ hosts: allowedHosts }));
  }
  const app = await NestFactory.create<NestFastifyApplication>(
    await StowageModule.forWorker(config, features),
    adapter,
    { bufferLogs: true, abortOnError: false, bodyParser: false },
  );
  await logThroughPino(app);
  return app;
}
