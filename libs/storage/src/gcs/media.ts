import http, { type ClientRequest, type IncomingMessage } from 'node:http';
import https from 'node:https';
import { gunzipSync } from 'node:zlib';
import type { File, Storage } from '@google-cloud/storage';
import { release } from '#libs/runtime';
import type { Media } from './raw-read.js';
import { answerError, NoAnswerError } from './storage-error.js';

/** Of what storage says in place of the bytes. */
const MAX_EXPLANATION = 64 * 1024;

/** After which a connection is closed that nobody uses, or that a proxy does not bring about. */
const UNUSED_MS = 15_000;

/** An HTTP proxy, and the hosts that are asked without it, with commas between them. */
export interface Proxy {
  readonly url: string;
  readonly except?: string;
}

export interface Agents {
  readonly http: http.Agent;
  readonly https: https.Agent;
}

/** Keep connections, each to its server or through a proxy. */
export function openAgents(proxy?: Proxy): Agents {
  const proxyEnv = { http_proxy: proxy?.url, https_proxy: proxy?.url, no_proxy: proxy?.except };
  const options = { keepAlive: true, timeout: UNUSED_MS, ...(proxy && { proxyEnv }) };
  return { http: new http.Agent(options), https: new https.Agent(options) };
}

/**
 * Asks for a file's bytes as they are stored, with the client's credentials. Not by the client itself, which hides the
 * connection and puts five streams between that and its reader: together that takes more processor time than hashing the
 * bytes does. The body has no deadline: whoever reads it watches it.
 * @see https://docs.cloud.google.com/storage/docs/json_api/v1/objects/get
 * @throws StorageAnswerError; whatever the connection or the credentials fail with
 */
export async function openMedia(storage: Storage, file: File, agents: Agents): Promise<Media> {
  const url = new URL(`${storage.baseUrl}/b/${encodeURIComponent(file.bucket.name)}/o/${file.id}`);
  url.searchParams.set('alt', 'media');
  if (file.generation !== undefined) url.searchParams.set('generation', String(file.generation));
  // Storage would else send what is stored as gzip in another form, of another length.
  const headers: http.OutgoingHttpHeaders = { 'accept-encoding': 'gzip', 'cache-control': 'no-store' };
  const isSecure = url.protocol === 'https:';
  if (isSecure) {
    for (const [name, value] of await storage.authClient.getRequestHeaders()) headers[name] = value;
  }
  const body = await answerTo(
    isSecure
      ? https.get(url, { headers, agent: agents.https })
      : http.get(url, { headers, agent: agents.http }),
  );
  if (body.statusCode !== 200) throw answerError(body.statusCode ?? 0, await explanationIn(body));
  releaseSpent(body);
  return { body, storedBytes: Number(body.headers['x-goog-stored-content-length'] ?? NaN) };
}

/**
 * Node copies a body out of the chunks that it reads from the connection, each as large, which nobody wants then.
 * @see https://github.com/nodejs/node/blob/v24.x/src/node_http_parser.cc (on_body)
 */
function releaseSpent(body: IncomingMessage): void {
  const { socket } = body;
  socket.on('data', release);
  body.once('close', () => socket.off('data', release));
}

/** What breaks once the answer is here ends the body too, of which its reader is told. */
export const answerTo = (request: ClientRequest): Promise<IncomingMessage> =>
  new Promise((resolve, reject) => {
    request
      .once('response', resolve)
      .on('error', reject)
      .once('close', () => reject(new NoAnswerError('The connection closed without an answer')));
  });

/** The answer's body as text, as far as anybody reads an explanation. */
export async function explanationIn(body: IncomingMessage): Promise<string> {
  const parts: Buffer[] = [];
  let bytes = 0;
  for await (const part of body as AsyncIterable<Buffer>) {
    parts.push(part);
    bytes += part.length;
    if (bytes > MAX_EXPLANATION) break;
  }
  const text = Buffer.concat(parts);
  if (body.headers['content-encoding'] !== 'gzip') return text.toString();
  try {
    return gunzipSync(text, { maxOutputLength: MAX_EXPLANATION }).toString();
  } catch {
    return '';
  }
}
