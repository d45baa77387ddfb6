import 'reflect-metadata';
import type { IncomingMessage } from 'node:http';
import { NestFactory } from '@nestjs/core';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import { PinoLogger } from 'nestjs-pino';
import { inputValidation } from '#libs/graphql-edge';
import { logRequests, NestLogger, requestIdOf, serve, type Service } from '#libs/runtime';
import { AppModule } from './app.module.js';
import { readConfig } from './config.js';

const MAX_BODY_BYTES = 1024 * 1024;
const DRAIN_MS = 9_000;
/** Requests that have not come whole by then never will; a client that sends a byte now and then holds nothing up. */
const REQUEST_TIMEOUT_MS = 30_000;
const IDLE_TIMEOUT_MS = 60_000;
/** When stopping, what is not answered by then is cut off. */
const LAST_ANSWERS_MS = 5_000;

async function start(): Promise<Service> {
  const config = readConfig(process.env);
  const adapter = new FastifyAdapter({
    bodyLimit: MAX_BODY_BYTES,
    requestTimeout: REQUEST_TIMEOUT_MS,
    connectionTimeout: IDLE_TIMEOUT_MS,
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
  return {
    close: async () => {
      const cut = setTimeout(() => app.getHttpServer().closeAllConnections(), LAST_ANSWERS_MS);
      await app.close();
      clearTimeout(cut);
    },
  };
}

await serve(start, DRAIN_MS);
