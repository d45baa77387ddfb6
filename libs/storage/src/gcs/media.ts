import http, { type IncomingMessage, type OutgoingHttpHeaders } from 'node:http';
import https from 'node:https';
import { gunzipSync } from 'node:zlib';
import type { File, Storage } from '@google-cloud/storage';
import { release } from '#libs/runtime';
import type { Media } from './raw-read.js';
import { answerError, NoAnswerError } from './storage-error.js';

/** Limit in bytes for the body of an error answer. */
const MAX_EXPLANATION_BYTES = 64 * 1024;

/** Closes an idle connection, or one that a proxy does not establish, after this time. */
const IDLE_TIMEOUT_MS = 15_000;

/** An HTTP proxy, and the hosts that bypass it (comma-separated). */
export interface Proxy {
  readonly url: string;
  readonly except?: string;
}

export interface Agents {
  readonly http: http.Agent;
  readonly https: https.Agent;
}

/** Creates keep-alive agents that connect directly or through a proxy. */
export function openAgents(proxy?: Proxy): Agents {
  const proxyEnv = { http_proxy: proxy?.url, https_proxy: proxy?.url, no_proxy: proxy?.except };
  const options = { keepAlive: true, timeout: IDLE_TIMEOUT_MS, ...(proxy && { proxyEnv }) };
  return { http: new http.Agent(options), https: new https.Agent(options) };
}

/**
 * Requests an object's bytes as stored, with the client's credentials. The official client is not used: it hides the
 * connection and puts five streams between the connection and the reader, which together takes more CPU time than
 * hashing the bytes. The body has no deadline; the reader must detect a stall.
 * @see https://docs.cloud.google.com/storage/docs/json_api/v1/objects/get
 * @throws StorageAnswerError for a status other than 200; errors of the connection or of fetching credentials as they
 * are
 */
export async function openMedia(storage: Storage, file: File, agents: Agents): Promise<Media> {
  const url = new URL(`${storage.baseUrl}/b/${encodeURIComponent(file.bucket.name)}/o/${file.id}`);
  url.searchParams.set('alt', 'media');
  if (file.generation !== undefined) url.searchParams.set('generation', String(file.generation));
  // Without `gzip` here, storage decompresses objects stored as gzip, which changes their length.
  const headers = { 'accept-encoding': 'gzip', 'cache-control': 'no-store' };
  const body = await sendRequest({ method: 'GET', url, headers, authClient: storage.authClient }, agents);
  if (body.statusCode !== 200) throw answerError(body.statusCode ?? 0, await explanationIn(body));
  releaseReadChunks(body);
  return { body, storedBytes: Number(body.headers['x-goog-stored-content-length'] ?? NaN) };
}

/**
 * Frees each chunk read from the socket: the parser copies the body out of these equally large chunks, which are then
 * garbage.
 * @see https://github.com/nodejs/node/blob/v24.x/src/node_http_parser.cc (on_body)
 */
function releaseReadChunks(body: IncomingMessage): void {
  const { socket } = body;
  socket.on('data', release);
  body.once('close', () => socket.off('data', release));
}

export interface BodilessRequest {
  readonly method: string;
  readonly url: URL;
  readonly headers: OutgoingHttpHeaders;
  /** Client whose credentials are sent, over TLS only; without it the request has no credentials. */
  readonly authClient?: Storage['authClient'];
}

/**
 * Sends a request without a body and waits for the head of the answer. A connection error after the head also ends the
 * answer's body with an error, so the late `reject` can be ignored.
 * @throws NoAnswerError if the connection closes without an answer; errors of the connection or of fetching credentials
 * unchanged
 */
export async function sendRequest(
  { method, url, headers, authClient }: BodilessRequest,
  agents: Agents,
): Promise<IncomingMessage> {
  const isSecure = url.protocol === 'https:';
  const credentials = isSecure && authClient ? await authClient.getRequestHeaders() : [];
  const options = { method, headers: { ...headers, ...Object.fromEntries(credentials) } };
  return new Promise((resolve, reject) => {
    const sent = isSecure
      ? https.request(url, { ...options, agent: agents.https })
      : http.request(url, { ...options, agent: agents.http });
    sent
      .once('response', resolve)
      .on('error', reject)
      .once('close', () => reject(new NoAnswerError('The connection closed without an answer')))
      .end();
  });
}

/** Reads an error answer's body as text, up to 64 KiB. */
export async function explanationIn(body: IncomingMessage): Promise<string> {
  const parts: Buffer[] = [];
  let bytes = 0;
  for await (const part of body as AsyncIterable<Buffer>) {
    parts.push(part);
    bytes += part.length;
    if (bytes > MAX_EXPLANATION_BYTES) break;
  }
  const text = Buffer.concat(parts);
  if (body.headers['content-encoding'] !== 'gzip') return text.toString();
  try {
    return gunzipSync(text, { maxOutputLength: MAX_EXPLANATION_BYTES }).toString();
  } catch {
    return '';
  }
}
