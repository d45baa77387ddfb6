import type { IncomingMessage } from 'node:http';
import { NestFactory } from '@nestjs/core';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import { PinoLogger } from 'nestjs-pino';
import { admitRequests, logRequests, NestLogger, requestIdOf } from '#libs/runtime';
import { admissionOf } from './admission.js';
import { AppModule } from './app.module.js';
import type { ApiEnvironment } from './config.js';
import { allowOrigins } from './cross-origin.js';
import { servePlayground } from './playground/playground.js';

const MAX_BODY_BYTES = 1024 * 1024;
/** Requests that have not come whole by then never will; a client that sends a byte now and then holds nothing up. */
const REQUEST_TIMEOUT_MS = 30_000;
const IDLE_TIMEOUT_MS = 60_000;

/** The api, ready to listen. */
export async function createApi(config: ApiEnvironment): Promise<NestFastifyApplication> {
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
    // Nest would add a parser for forms.
    bodyParser: false,
  });
  app.useLogger(new NestLogger(await app.resolve(PinoLogger), {}));
  // Otherwise what the start waits for would be logged when it has ended.
  app.flushLogs();
  const server = adapter.getInstance();
  admitRequests(server, admissionOf(config));
  logRequests(server, await app.resolve(PinoLogger));
  // JSON alone is left: a page elsewhere cannot send it without asking first.
  server.removeContentTypeParser('text/plain');
  if (config.CORS_ORIGINS.length > 0) allowOrigins(app, config.CORS_ORIGINS, config.CORS_HEADERS);
  if (config.PLAYGROUND) servePlayground(server, { token: config.PLAYGROUND_TOKEN });
  return app;
}
