import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Readable, Writable } from 'node:stream';
import { finished, pipeline } from 'node:stream/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { loopbackHosts } from '#libs/domain';
import { adminHandler } from './admin.js';
import { AdjustableClock, type ClockControl } from './clock.js';
import { Faults, type FaultControl } from './faults/faults.js';
import { admissionCheck } from './http/admission.js';
import { ApiError, asApiError, ClientGone, jsonError, xmlError } from './http/errors.js';
import { Exchange, type Reply, type Tap } from './http/exchange.js';
import { Publisher, type Publish } from './publisher.js';
import { release } from './release.js';
import { requestHandler } from './requests.js';
import { ResumableUploads } from './resumable/resumable-uploads.js';
import type { DamageControl } from './store/damage.js';
import { openStore } from './store/store.js';
import { V4Verifier, type HmacKey, type RsaKey } from './xml/v4-verifier.js';

/** Options of {@link startGcsEmulator}. */
export interface GcsEmulatorOptions {
  /** Address to listen on. Default 127.0.0.1. */
  host?: string;
  /** Port to listen on; 0 takes a free one. */
  port: number;
  /** Values of Host that are accepted besides loopback's names with the port, such as `storage:3001`. Default none. */
  allowedHosts?: readonly string[];
  /** Folder of the index and the bytes; created if missing. Only one emulator at a time can use it. */
  dataDir: string;
  /** HMAC keys whose signed URLs are accepted. */
  hmacKeys?: HmacKey[];
  /** RSA keys whose signed URLs are accepted. */
  rsaKeys?: RsaKey[];
  /** Delivers an event to a topic (`projects/P/topics/T`). The emulator retries when the promise rejects. */
  publish?: Publish;
  /** Lets programs on this machine control faults, events, damage and the clock, below `/_emulator/`. Default false. */
  admin?: boolean;
  /** Default: the system's clock. */
  now?: () => Date;
  /** Receives internal errors, which never contain a signed URL or a key. */
  onError?: (error: unknown) => void;
}

/** A running emulator. */
export interface GcsEmulator {
  port: number;
  /** Base URL, for the client's `apiEndpoint`. */
  url: string;
  /** Fault injection. There are no faults until a rule is added. */
  faults: FaultControl;
  events: {
    /** Publishes a made-up event, for example about an object that does not exist. */
    forge: Publish;
  };
  /** Damages stored objects, to test how a client finds that out. */
  damage: DamageControl;
  /** The emulator's clock, which a test can move. */
  clock: ClockControl;
  /** Takes no new requests, gives running ones 5 s to finish, then closes everything. */
  close(): Promise<void>;
}

const DRAIN_MS = 5_000;
const IDLE_SOCKET_MS = 60_000;
const HEADERS_MS = 30_000;
/** How long a rejected client may continue to send before its connection is closed. */
const LINGER_MS = 30_000;

/**
 * Starts a Google Cloud Storage server for development and tests: the JSON API, and the XML API for V4-signed URLs. The
 * official client works unmodified (`apiEndpoint: url`). The JSON API asks for no credentials, so bind it to loopback.
 * Web pages can use only signed URLs and the sessions of resumable uploads.
 * @throws {Error} with one sentence when the index in the data folder is damaged or in use; when the port is taken
 * @example
 * const emulator = await startGcsEmulator({ port: 0, dataDir });
 * const storage = new Storage({ apiEndpoint: emulator.url, projectId: 'dev' });
 */
export async function startGcsEmulator(options: GcsEmulatorOptions): Promise<GcsEmulator> {
  const { host = '127.0.0.1', onError = () => undefined } = options;
  const clock = new AdjustableClock(options.now ?? (() => new Date()));
  const now = () => clock.now();
  let url = '';
  const store = await openStore({ dataDir: options.dataDir, baseUrl: () => url, now, onError });
  const running = new Set<Promise<void>>();
  let publisher: Publisher | undefined;
  const server = createHttpServer();
  const uploads = new ResumableUploads(store, onError);
  const faults = new Faults();
  const verifier = new V4Verifier(options.hmacKeys ?? [], options.rsaKeys ?? []);
  const forge: Publish = async (topic, message) => {
    if (options.publish === undefined)
      throw new ApiError('notImplemented', {
        message: 'The emulator was started without a publisher of events.',
      });
    await options.publish(topic, message);
  };
  try {
    server.listen(options.port, host);
    await once(server, 'listening');
  } catch (error) {
    await uploads.stop();
    store.close();
    throw error;
  }
  const { port } = server.address() as AddressInfo;
  url = `http://${host.includes(':') ? `[${host}]` : host}:${port}`;
  const { damage } = store;
  const admin = options.admin ? adminHandler({ faults, forge, damage, clock }) : undefined;
  const admit = admissionCheck([...loopbackHosts(port), ...(options.allowedHosts ?? [])]);
  const handle = requestHandler({ store, uploads, verifier, faults, admin, admit });
  listenForRequests(server, (exchange) => {
    const done = answer(exchange, handle, onError).finally(() => running.delete(done));
    running.add(done);
  });
  if (options.publish) publisher = new Publisher(store.outbox, options.publish, onError, faults);

  let closing: Promise<void> | undefined;
  const shutDown = async () => {
    faults.clear();
    await drain(server, running);
    await publisher?.stop();
    await uploads.stop();
    store.close();
  };
  return { port, url, faults, events: { forge }, damage, clock, close: () => (closing ??= shutDown()) };
}

function createHttpServer(): Server {
  // An upload may take long, so only idle connections are cut.
  const server = createServer({
    requestTimeout: 0,
    headersTimeout: HEADERS_MS,
    keepAliveTimeout: HEADERS_MS,
  });
  server.setTimeout(IDLE_SOCKET_MS);
  return server;
}

function listenForRequests(server: Server, receive: (exchange: Exchange) => void): void {
  server.on('request', (request: IncomingMessage, response: ServerResponse) => {
    receive(new Exchange(request, response));
  });
  server.on('checkContinue', (request: IncomingMessage, response: ServerResponse) => {
    receive(new Exchange(request, response, true));
  });
}

async function drain(server: Server, running: ReadonlySet<Promise<void>>): Promise<void> {
  const closed = once(server, 'close');
  server.close();
  const timer = new AbortController();
  const timeout = delay(DRAIN_MS, undefined, { signal: timer.signal }).catch(() => undefined);
  await Promise.race([Promise.all(running), timeout]);
  timer.abort();
  server.closeAllConnections();
  await closed;
  while (running.size > 0) await Promise.all(running);
}

async function answer(
  exchange: Exchange,
  handle: (exchange: Exchange) => Promise<Reply>,
  onError: (error: unknown) => void,
): Promise<void> {
  try {
    await send(exchange, await handle(exchange).catch((error: unknown) => refusal(exchange, error, onError)));
  } catch (error) {
    exchange.response.destroy();
    if (!(error instanceof ClientGone) && !isDisconnect(error)) onError(error);
  }
}

const isDisconnect = (error: unknown) =>
  ['ERR_STREAM_PREMATURE_CLOSE', 'ECONNRESET', 'EPIPE'].includes((error as NodeJS.ErrnoException).code ?? '');

function refusal(exchange: Exchange, error: unknown, onError: (error: unknown) => void): Reply {
  if (error instanceof ClientGone) throw error;
  if (!(error instanceof ApiError)) onError(error);
  const refused = asApiError(error) ?? new ApiError('internal');
  const { status, detail } = refused;
  if (status === 304) return { status, headers: detail.headers };
  const [type, body] = exchange.isXml
    ? ['application/xml; charset=UTF-8', xmlError(refused)]
    : ['application/json; charset=UTF-8', jsonError(refused)];
  return { status, headers: { ...detail.headers, 'Content-Type': type }, body };
}

async function send(exchange: Exchange, { status, headers = {}, body }: Reply): Promise<void> {
  const { request, response } = exchange;
  response.statusCode = status;
  for (const [name, value] of Object.entries(headers)) {
    if (name === 'Vary') response.appendHeader(name, value);
    else response.setHeader(name, value);
  }
  if (!request.complete) discardRest(request);
  if (typeof body === 'string') response.setHeader('Content-Length', Buffer.byteLength(body));
  if (exchange.tapResponse) {
    await sendTapped(exchange, exchange.tapResponse, body);
  } else if (body === undefined || typeof body === 'string') {
    response.end(exchange.method === 'HEAD' ? undefined : body);
    await finished(response);
  } else {
    await pipeline(body, releasingWriter(response));
  }
}

/** Writes chunks to the response and frees each once it is sent. Every chunk must belong to this response alone. */
const releasingWriter = (response: ServerResponse) =>
  new Writable({
    write: (chunk: Buffer, _, done) =>
      response.write(chunk, (error) => {
        release(chunk);
        done(error);
      }),
    final: (done) => response.end(done),
    destroy: (error, done) => {
      if (error !== null) response.destroy();
      done(error);
    },
  });

async function sendTapped({ method, response }: Exchange, tap: Tap, body: Reply['body']): Promise<void> {
  const text = typeof body === 'string' && method !== 'HEAD' ? [Buffer.from(body)] : [];
  const source = body instanceof Readable ? body : Readable.from(text);
  try {
    await pipeline(tap(source), response);
  } finally {
    source.destroy();
  }
}

/** Closing during the client's body would reset the connection and lose the error, so the body is read for a while. */
function discardRest(request: IncomingMessage): void {
  request.on('error', () => undefined);
  request.resume();
  const cut = setTimeout(() => request.socket.destroy(), LINGER_MS);
  cut.unref();
  request.once('close', () => clearTimeout(cut));
}
