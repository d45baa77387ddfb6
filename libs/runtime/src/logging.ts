import { AsyncLocalStorage } from 'node:async_hooks';
import { randomUUID } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { INestApplication } from '@nestjs/common';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { Logger, type Params, PinoLogger } from 'nestjs-pino';
import pino from 'pino';

const REQUEST_ID = /^[A-Za-z0-9._-]{1,64}$/;

/**
 * Returns the id that all log lines of a request share: the client's `x-request-id` if it has only safe characters,
 * otherwise a new id.
 */
export function requestIdOf(request: IncomingMessage): string {
  const given = request.headers['x-request-id'];
  return typeof given === 'string' && REQUEST_ID.test(given) ? given : randomUUID();
}

/** Allowed fields of an error. Other fields that libraries add may contain keys, tokens or client data. */
const LOGGED_FIELDS = new Set([
  ...['type', 'message', 'stack', 'code', 'kind', 'reason', 'retryAfterSeconds', 'status', 'statusCode'],
  ...['errno', 'syscall', 'path', 'hostname', 'address', 'port', 'signal'],
  // Fields of PostgreSQL errors, without `detail` and `where`, which quote rows and parameters.
  ...['severity', 'schema', 'table', 'column', 'constraint', 'routine'],
]);
const MAX_FIELD_CHARACTERS = 4096;
/**
 * SQLSTATE class 22 (data exceptions): the messages quote the value.
 * https://www.postgresql.org/docs/current/errcodes-appendix.html
 */
const QUOTES_A_VALUE = /^22[0-9A-Z]{3}$/;

const cut = (text: string, characters: number): string =>
  text.length > characters ? `${text.slice(0, characters)}…` : text;

function quotesAValue(error: unknown): boolean {
  for (let at = error, depth = 0; at instanceof Error && depth < 8; at = at.cause, depth++) {
    if ('code' in at && typeof at.code === 'string' && QUOTES_A_VALUE.test(at.code)) return true;
  }
  return false;
}

/**
 * Serializes an error for the log: type, message and stack including its causes, and scalar fields such as a code, each
 * with limited length. Objects that libraries attach (clients, requests, responses) are dropped because they contain
 * keys and tokens; values that the database quotes are replaced.
 */
export function loggedError(error: unknown): unknown {
  if (!(error instanceof Object)) return typeof error === 'string' ? cut(error, MAX_FIELD_CHARACTERS) : error;
  const full = error instanceof Error ? pino.stdSerializers.err(error) : error;
  const shown = (text: string) => (quotesAValue(error) ? text.replaceAll(/"[^"]*"/g, '"…"') : text);
  return Object.fromEntries(
    Object.entries(full)
      .filter(([name, value]) => LOGGED_FIELDS.has(name) && !(value instanceof Object))
      .map(([name, value]) => [
        name,
        typeof value === 'string' ? cut(shown(value), MAX_FIELD_CHARACTERS) : (value as unknown),
      ]),
  );
}

const MAX_LINE_BYTES = 16 * 1024;
/** Length limits for the texts of an overlong line, in characters; tried in this order. */
const CUTS = [1024, 128];
const MAX_ENTRIES = 32;

const isShort = (line: string) =>
  line.length * 3 <= MAX_LINE_BYTES || Buffer.byteLength(line) <= MAX_LINE_BYTES;

/**
 * Limits a JSON line to 16 KiB. A longer line loses the ends of its texts and lists; if that is not enough, everything
 * except its head fields.
 */
export function boundedLine(line: string): string {
  if (isShort(line)) return line;
  for (const characters of CUTS) {
    const shorter = JSON.stringify(
      JSON.parse(line, (_, value: unknown) => {
        if (typeof value === 'string') return cut(value, characters);
        return Array.isArray(value) ? value.slice(0, MAX_ENTRIES) : value;
      }),
    );
    if (isShort(shorter)) return `${shorter}\n`;
  }
  const { level, time, pid, service, context, reqId, msg } = JSON.parse(line) as Record<string, unknown>;
  const texts = Object.entries({ service, context, reqId, msg }).map(([name, text]) => [
    name,
    typeof text === 'string' ? cut(text, Math.min(...CUTS)) : undefined,
  ]);
  return `${JSON.stringify({ level, time, pid, ...Object.fromEntries(texts), isCut: true })}\n`;
}

/** Configures pino: JSON lines on standard output, each of at most 16 KiB. */
export function loggerParams(service: string, level: string): Params {
  return {
    pinoHttp: {
      level,
      base: { service, pid: process.pid },
      autoLogging: false,
      serializers: { err: loggedError },
      hooks: { streamWrite: boundedLine },
    },
    // Nest's middleware does not reach routes that Apollo registers with Fastify; see logRequests.
    forRoutes: [],
  };
}

/**
 * Logs one line for each request, and adds its id to every line logged on its behalf. The line has method, route path,
 * status, duration, id and the fields that were assigned to the request's logger. Headers, query, body and unknown paths
 * are not logged: clients choose them, and they may contain secrets.
 */
export function logRequests(server: FastifyInstance, logger: PinoLogger): void {
  const contexts = new WeakMap<FastifyRequest, ReturnType<typeof AsyncLocalStorage.snapshot>>();
  server.addHook('onRequest', (request, reply, done) => {
    void reply.header('x-request-id', request.id);
    done();
  });
  // In an earlier hook the async context would be lost while Fastify parses the body.
  server.addHook('preHandler', (request, _reply, done) => {
    const begin = () => {
      contexts.set(request, AsyncLocalStorage.snapshot());
      done();
    };
    logger.runInContext(begin, { bindings: { reqId: request.id } });
  });
  server.addHook('onResponse', (request, reply, done) => {
    const { id: reqId, method, routeOptions } = request;
    const line = {
      method,
      path: routeOptions.url,
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

const SILENCED_CONTEXTS = new Set(['InstanceLoader', 'RouterExplorer', 'RoutesResolver']);

/** Logger for Nest without the messages about each loaded module and route. */
class NestLogger extends Logger {
  override log(message: unknown, ...rest: unknown[]): void {
    const context = rest.at(-1);
    if (typeof context !== 'string' || !SILENCED_CONTEXTS.has(context)) super.log(message, ...rest);
  }
}

/** Logs the messages of Nest through pino, beginning with those that it has buffered (option `bufferLogs`). */
export async function logThroughPino(app: INestApplication): Promise<void> {
  app.useLogger(new NestLogger(await app.resolve(PinoLogger), {}));
  // Buffered log lines would otherwise appear only after a start that waits for a dependency.
  app.flushLogs();
}
