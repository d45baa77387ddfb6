import { NestFactory } from '@nestjs/core';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import { PinoLogger } from 'nestjs-pino';
import { admitRequests, logRequests, logThroughPino, requestIdOf } from '#libs/runtime';
import type { Feature } from '../feature.js';
import { StowageModule } from '../stowage.module.js';
import { admissionOf } from './admission.js';
import type { ApiConfiguration } from './config.js';
import { allowOrigins } from './cross-origin.js';
import { servePlayground } from './playground/playground.js';

const MAX_BODY_BYTES = 1024 * 1024;
/** Time limit for receiving a request, so that a client that sends single bytes cannot hold a connection. */
const REQUEST_TIMEOUT_MS = 30_000;
const IDLE_TIMEOUT_MS = 60_000;

/** Creates the API server, ready to listen. */
export async function createApi(
  config: ApiConfiguration,
  features: readonly Feature[] = [],
): Promise<NestFastifyApplication> {
  const adapter = new FastifyAdapter({
    bodyLimit: MAX_BODY_BYTES,
    requestTimeout: REQUEST_TIMEOUT_MS,
    connectionTimeout: IDLE_TIMEOUT_MS,
    // The raw request carries one id for Fastify, the log and the database rows.
    genReqId: requestIdOf,
  });
  const app = await NestFactory.create<NestFastifyApplication>(
    await StowageModule.forApi(config, features),
    adapter,
    {
      bufferLogs: true,
      abortOnError: false,
      // Nest's parser would also accept form bodies.
      bodyParser: false,
    },
  );
  await logThroughPino(app);
  const server = adapter.getInstance();
  admitRequests(server, admissionOf(config.http));
  logRequests(server, await app.resolve(PinoLogger));
  // Leaves JSON as the only body type: a web page of another origin cannot send JSON without a preflight request.
  server.removeContentTypeParser('text/plain');
  if (config.http.corsOrigins.length > 0) allowOrigins(app, config.http);
  if (config.playground.isServed) servePlayground(server, config.playground);
  return app;
}
