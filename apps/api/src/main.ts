import 'reflect-metadata';
import type { IncomingMessage } from 'node:http';
import { NestFactory } from '@nestjs/core';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import { PinoLogger } from 'nestjs-pino';
import { inputValidation } from '#libs/graphql-edge';
import { logRequests, NestLogger, requestIdOf, serve } from '#libs/runtime';
import { AppModule } from './app.module.js';
import { readConfig } from './config.js';

const MAX_BODY_BYTES = 1024 * 1024;
const DRAIN_MS = 9_000;

async function start(): Promise<NestFastifyApplication> {
  const config = readConfig(process.env);
  const adapter = new FastifyAdapter({
    bodyLimit: MAX_BODY_BYTES,
    // One id for Fastify, the log and the rows: it is kept on the raw request.
    genReqId: (request: IncomingMessage) => requestIdOf(request),
  });
  const app = await NestFactory.create<NestFastifyApplication>(AppModule.forRoot(config), adapter, {
    bufferLogs: true,
    abortOnError: false,
  });
  app.useLogger(new NestLogger(await app.resolve(PinoLogger), {}));
  logRequests(adapter.getInstance(), await app.resolve(PinoLogger));
  app.useGlobalPipes(inputValidation());
  await app.listen(config.PORT, config.HOST);
  return app;
}

await serve(start, DRAIN_MS);
