import { AsyncResource } from 'node:async_hooks';
import { randomUUID } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { Injectable } from '@nestjs/common';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { Logger, type Params, type PinoLogger } from 'nestjs-pino';
import pino from 'pino';

const REQUEST_ID = /^[A-Za-z0-9._-]{1,64}$/;

/** The caller's `x-request-id` when it is harmless, else one of our own; the same for all of one request's logs. */
export function requestIdOf(request: IncomingMessage): string {
  const given = request.headers['x-request-id'];
  return typeof given === 'string' && REQUEST_ID.test(given) ? given : randomUUID();
}

/**
 * What is logged of an error: its type, message and stack with those of its causes, and its own plain values such as a
 * code. Objects that libraries hang on their errors are left out: clients, requests and responses with their keys and
 * tokens (pg adds the connection with the key that cancels its queries).
 */
export function loggedError(error: unknown): unknown {
  if (!(error instanceof Object)) return error;
  const full = error instanceof Error ? pino.stdSerializers.err(error) : error;
  return Object.fromEntries(Object.entries(full).filter(([, value]) => !(value instanceof Object)));
}

/** JSON lines on standard output. */
export function loggerParams(service: string, level: string): Params {
  return {
    pinoHttp: {
      level,
      base: { service, pid: process.pid },
      autoLogging: false,
      serializers: { err: loggedError },
    },
    // Nest's middleware does not reach routes that Apollo registers with Fastify; see logRequests.
    forRoutes: [],
  };
}

/**
 * One line for each request, and its id in every line that is logged on its behalf, with whatever else was assigned to its
 * logger. Only method, path and id are logged: no header, query or body, for those carry secrets.
 */
export function logRequests(server: FastifyInstance, logger: PinoLogger): void {
  const contexts = new WeakMap<FastifyRequest, (log: () => void) => void>();
  server.addHook('onRequest', (request, reply, done) => {
    void reply.header('x-request-id', request.id);
    done();
  });
  // Not earlier: while a body is being parsed the context of its caller is lost.
  server.addHook('preHandler', (request, _reply, done) => {
    const begin = () => {
      contexts.set(
        request,
        AsyncResource.bind((log: () => void) => log()),
      );
      done();
    };
    logger.runInContext(begin, { bindings: { reqId: request.id } });
  });
  server.addHook('onResponse', (request, reply, done) => {
    const { id: reqId, method, url } = request;
    const line = {
      method,
      path: url.split('?', 1)[0],
      statusCode: reply.statusCode,
      ms: Math.round(reply.elapsedTime),
    };
    const log = () => logger.info(line, 'request');
    const within = contexts.get(request);
    if (within === undefined) logger.runInContext(log, { bindings: { reqId } });
    else within(log);
    done();
  });
}

const STARTUP_NOISE = new Set(['InstanceLoader', 'RouterExplorer', 'RoutesResolver']);

/** Nest's own messages, less those that say that every module was loaded. */
@Injectable()
export class NestLogger extends Logger {
  override log(message: unknown, ...rest: unknown[]): void {
    const context = rest.at(-1);
    if (typeof context !== 'string' || !STARTUP_NOISE.has(context)) super.log(message, ...rest);
  }
}
