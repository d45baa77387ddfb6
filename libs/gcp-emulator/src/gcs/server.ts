import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Readable, Writable } from 'node:stream';
import { finished, pipeline } from 'node:stream/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { loopbackHosts } from '#libs/domain';
import { adminHandler } from './admin.js';
import { Faults, type FaultControl } from './faults/faults.js';
import { admissionCheck } from './http/admission.js';
import { ApiError, asApiError, ClientGone, jsonError, xmlError } from './http/errors.js';
import { Exchange, type Reply, type Tap } from './http/exchange.js';
import { Publisher, type Publish } from './publisher.js';
import { release } from './release.js';
import { requestHandler } from './requests.js';
import { ResumableUploads } from './resumable/resumable-uploads.js';
import { openStore } from './store/store.js';
import { V4Verifier, type HmacKey, type RsaKey } from './xml/v4-verifier.js';

export interface GcsEmulatorOptions {
  /** Default 127.0.0.1. */
  host?: string;
  /** 0 takes any free port. */
  port: number;
  /** Values of Host that are served besides loopback's names with the port, such as `storage:3001`. Default none. */
  allowedHosts?: readonly string[];
  /** Made if it is not there. One emulator at a time. */
  dataDir: string;
  /** Keys whose signatures on URLs are accepted. */
  hmacKeys?: HmacKey[];
  rsaKeys?: RsaKey[];
  /** Delivers an event to a topic (`projects/P/topics/T`); called again later when it rejects. */
  publish?: Publish;
  /** Also lets programs on this machine control faults, at `/_emulator/faults` and `/_emulator/events`. Default false. */
  admin?: boolean;
  now?: () => Date;
  /** What went wrong behind the scenes; never holds a signed URL or a key. */
  onError?: (error: unknown) => void;
}

export interface GcsEmulator {
  port: number;
  /** For the client's `apiEndpoint`. */
  url: string;
  /** What is to go wrong. Nothing does, unless it is told here. */
  faults: FaultControl;
  events: {
    /** Publishes a message as if it were an event: of an object that is not there, out of date, made up. */
    forge: Publish;
  };
  /** Takes no new requests, gives running ones 5 s to finish, then closes everything. */
  close(): Promise<void>;
}

const DRAIN_MS = 5_000;
const IDLE_SOCKET_MS = 60_000;
const HEADERS_MS = 30_000;
/** How long a refused client may go on sending before its connection is cut. */
const LINGER_MS = 30_000;

/**
 * Starts a Google Cloud Storage server for development and tests: the JSON API, and the XML API by V4-signed URLs. It answers the
 * unmodified official client (`apiEndpoint: url`). The JSON API asks for no credentials, so bind it to loopback; web pages get at signed URLs and their sessions alone. Rejects with one
 * clear sentence when the data folder's index is damaged or in use.
 */
export async function startGcsEmulator(options: GcsEmulatorOptions): Promise<GcsEmulator> {
  const { host = '127.0.0.1', now = () => new Date(), onError = () => undefined } = options;
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
      throw new ApiError('notImplemented', { message: 'Nothing publishes events here.' });
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
  const admin = options.admin ? adminHandler(faults, forge) : undefined;
  const admit = admissionCheck([...loopbackHosts(port), ...(options.allowedHosts ?? [])]);
  const handle = requestHandler({ store, uploads, verifier, faults, admin, admit });
  takeRequests(server, (exchange) => {
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
  return { port, url, faults, events: { forge }, close: () => (closing ??= shutDown()) };
}

function createHttpServer(): Server {
  // An upload may take long; what is cut is a connection on which nothing moves.
  const server = createServer({
    requestTimeout: 0,
    headersTimeout: HEADERS_MS,
    keepAliveTimeout: HEADERS_MS,
  });
  server.setTimeout(IDLE_SOCKET_MS);
  return server;
}

function takeRequests(server: Server, receive: (exchange: Exchange) => void): void {
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
  const patience = new AbortController();
  const late = delay(DRAIN_MS, undefined, { signal: patience.signal }).catch(() => undefined);
  await Promise.race([Promise.all(running), late]);
  patience.abort();
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
    await pipeline(body, spending(response));
  }
}

/** Takes chunks that nobody else looks at. */
const spending = (response: ServerResponse) =>
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

/** Closing on a client in the middle of its body would cost it the refusal (a reset); so read on, within reason. */
function discardRest(request: IncomingMessage): void {
  request.on('error', () => undefined);
  request.resume();
  const cut = setTimeout(() => request.socket.destroy(), LINGER_MS);
  cut.unref();
  request.once('close', () => clearTimeout(cut));
}
