import 'reflect-metadata';
import { NestFactory } from '@nestjs/core';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import { sourceCheck } from '#libs/domain';
import { admitRequests, logThroughPino, serve } from '#libs/runtime';
import { scannerOf } from '#libs/scanner';
import { AppModule } from './app.module.js';
import { readConfig } from './config.js';

const DRAIN_MS = 9_000;

async function start(): Promise<NestFastifyApplication> {
  const config = readConfig(process.env);
  const adapter = new FastifyAdapter();
  const { port, host, allowedHosts } = config.monitoring;
  if (allowedHosts !== undefined) {
    admitRequests(adapter.getInstance(), sourceCheck({ hosts: allowedHosts }));
  }
  const app = await NestFactory.create<NestFastifyApplication>(
    AppModule.forRoot(config, await scannerOf(config.scanner)),
    adapter,
    { bufferLogs: true, abortOnError: false, bodyParser: false },
  );
  await logThroughPino(app);
  // The HTTP server is for monitoring only; the work comes from Pub/Sub and the queue.
  if (port === undefined) await app.init();
  else await app.listen(port, host);
  return app;
}

await serve(start, DRAIN_MS);
