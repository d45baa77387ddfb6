import http from 'node:http';
import https from 'node:https';
import { text } from 'node:stream/consumers';
import { setTimeout as delay } from 'node:timers/promises';
import { Storage } from '@google-cloud/storage';
import { NoAnswerError, StorageAnswerError, isTransient } from './storage-error.js';

export interface GcsOptions {
  /** An emulator's or another endpoint's origin; default `https://storage.googleapis.com`. */
  readonly endpoint?: string;
  readonly projectId?: string;
}

export interface ApiCall {
  readonly method: 'GET' | 'POST' | 'PATCH' | 'DELETE';
  /** Below `/storage/v1`, encoded: see {@link objectPath}. */
  readonly path: string;
  readonly query?: Readonly<Record<string, string>>;
  readonly body?: object;
  /** For the answer with all its retries. */
  readonly timeoutMs: number;
  readonly signal?: AbortSignal;
}

interface HttpRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: http.OutgoingHttpHeaders;
  readonly body?: string;
  readonly signal: AbortSignal;
}

const ATTEMPTS = 3;
const FIRST_DELAY_MS = 250;

export const bucketPath = (bucket: string) => `/b/${encodeURIComponent(bucket)}`;
export const objectPath = ({ bucket, key }: { bucket: string; key: string }) =>
  `${bucketPath(bucket)}/o/${encodeURIComponent(key)}`;

/**
 * The JSON API of Google Cloud Storage. `@google-cloud/storage` supplies the credentials (application default
 * credentials, sent over TLS only, so none to an emulator); the requests are made here because its own, as of 8.4.0,
 * cannot be bounded or aborted: its `timeout` option has no effect, and a download that is given up destroys the
 * connections of all other requests. A call that fails in passing is tried up to three times within its timeout.
 * @see https://docs.cloud.google.com/storage/docs/json_api/v1
 */
export class JsonApi {
  private readonly origin: URL;
  private readonly basePath: string;
  private readonly transport: typeof http | typeof https;
  private readonly agent: http.Agent;
  private readonly auth?: Storage['authClient'];

  constructor({ endpoint = 'https://storage.googleapis.com', projectId }: GcsOptions) {
    this.origin = new URL(endpoint);
    this.basePath = `${this.origin.pathname.replace(/\/+$/, '')}/storage/v1`;
    const secure = this.origin.protocol === 'https:';
    this.transport = secure ? https : http;
    this.agent = new this.transport.Agent({ keepAlive: true });
    if (secure) this.auth = new Storage({ projectId }).authClient;
  }

  /** The answer's JSON; undefined for an empty one. */
  async call<Answer>(call: ApiCall): Promise<Answer> {
    return this.withinDeadline(call, async (signal) => {
      const response = await this.open(call, { 'accept-encoding': 'identity' }, signal);
      const body = await text(response).catch(asNoAnswer);
      return (body === '' ? undefined : parseJson(body)) as Answer;
    });
  }

  /**
   * The bytes of an object, as soon as the answer's head is here. Its body has no deadline: whoever reads it watches it.
   * What is stored as gzip comes as it is stored: storage would decompress it for a client that does not accept gzip.
   * @see https://docs.cloud.google.com/storage/docs/transcoding
   */
  async media(call: ApiCall): Promise<http.IncomingMessage> {
    return this.withinDeadline(call, (signal) => this.open(call, { 'accept-encoding': 'gzip' }, signal));
  }

  private async withinDeadline<T>(call: ApiCall, attempt: (signal: AbortSignal) => Promise<T>): Promise<T> {
    call.signal?.throwIfAborted();
    const ending = new AbortController();
    const forward = () => ending.abort(call.signal?.reason);
    const timer = setTimeout(
      () => ending.abort(new NoAnswerError('Storage did not answer in time')),
      call.timeoutMs,
    );
    call.signal?.addEventListener('abort', forward, { once: true });
    try {
      for (let attempts = 1; ; attempts++) {
        try {
          return await attempt(ending.signal);
        } catch (error) {
          if (ending.signal.aborted) throw ending.signal.reason;
          if (attempts === ATTEMPTS || !isTransient(error)) throw error;
        }
        await delay(FIRST_DELAY_MS * 2 ** (attempts - 1) * (0.5 + Math.random()), undefined, {
          signal: ending.signal,
        }).catch(() => ending.signal.throwIfAborted());
      }
    } finally {
      clearTimeout(timer);
      call.signal?.removeEventListener('abort', forward);
    }
  }

  private async open(
    { method, path, query, body }: ApiCall,
    headers: http.OutgoingHttpHeaders,
    signal: AbortSignal,
  ): Promise<http.IncomingMessage> {
    const search = new URLSearchParams({ ...query }).toString();
    const json = body === undefined ? undefined : JSON.stringify(body);
    const response = await this.send({
      method,
      path: `${this.basePath}${path}${search === '' ? '' : `?${search}`}`,
      headers: {
        ...headers,
        ...(json !== undefined && { 'content-type': 'application/json' }),
        ...(method !== 'GET' && { 'content-length': Buffer.byteLength(json ?? '') }),
        ...(await this.authorization(signal)),
      },
      body: json,
      signal,
    });
    if (response.statusCode !== undefined && response.statusCode < 300) return response;
    throw await answerError(response);
  }

  private async authorization(signal: AbortSignal): Promise<Record<string, string>> {
    if (this.auth === undefined) return {};
    const aborted = new Promise<never>((_, reject) =>
      signal.addEventListener('abort', () => reject(new NoAnswerError('No access token in time')), {
        once: true,
      }),
    );
    const headers = await Promise.race([this.auth.getRequestHeaders(), aborted]).catch(asNoAnswer);
    return Object.fromEntries(headers);
  }

  private send({ body, ...request }: HttpRequest): Promise<http.IncomingMessage> {
    const { protocol, hostname, port } = this.origin;
    const host = hostname.replace(/^\[|\]$/g, '');
    return new Promise((resolve, reject) => {
      this.transport
        .request({ ...request, protocol, host, port, agent: this.agent })
        .once('response', resolve)
        .on('error', (error) =>
          reject(new NoAnswerError('The connection to storage failed', { cause: error })),
        )
        .end(body);
    });
  }
}

function asNoAnswer(error: unknown): never {
  throw new NoAnswerError('Storage gave no whole answer', { cause: error });
}

function parseJson(body: string): unknown {
  try {
    return JSON.parse(body);
  } catch (error) {
    return asNoAnswer(error);
  }
}

interface ErrorBody {
  readonly error?: { readonly message?: string; readonly errors?: readonly { readonly reason?: string }[] };
}

const MAX_ERROR_LENGTH = 65_536;

async function answerError(response: http.IncomingMessage): Promise<StorageAnswerError> {
  let error: ErrorBody['error'];
  try {
    let body = '';
    for await (const chunk of response.setEncoding('utf8') as AsyncIterable<string>) {
      body += chunk;
      // Leaving the loop destroys the response.
      if (body.length > MAX_ERROR_LENGTH) break;
    }
    error = (JSON.parse(body) as ErrorBody).error;
  } catch {
    // A proxy's page, nothing, or half of it: the status says enough.
  }
  return new StorageAnswerError(
    response.statusCode ?? 0,
    error?.errors?.[0]?.reason ?? '',
    error?.message ?? '',
  );
}
