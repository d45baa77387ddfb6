import { once } from 'node:events';
import http, { type IncomingMessage } from 'node:http';
import https from 'node:https';
import { gunzipSync } from 'node:zlib';
import type { File, Storage } from '@google-cloud/storage';
import { release } from '#libs/runtime';
import type { Media } from './raw-read.js';
import { answerError } from './storage-error.js';

/** Of what storage says in place of the bytes. */
const MAX_EXPLANATION = 64 * 1024;

// Connections are kept, and the environment's proxies are asked, as the client does.
const options = { keepAlive: true, proxyEnv: process.env };
const AGENTS = { 'http:': new http.Agent(options), 'https:': new https.Agent(options) };

/**
 * Asks for a file's bytes as they are stored, with the client's credentials. Not by the client itself, which hides the
 * connection and puts five streams between that and its reader: together that takes more processor time than hashing the
 * bytes does. The body has no deadline: whoever reads it watches it.
 * @see https://docs.cloud.google.com/storage/docs/json_api/v1/objects/get
 * @throws StorageAnswerError; whatever the connection or the credentials fail with
 */
export async function openMedia(storage: Storage, file: File): Promise<Media> {
  const url = new URL(`${storage.baseUrl}/b/${encodeURIComponent(file.bucket.name)}/o/${file.id}`);
  url.searchParams.set('alt', 'media');
  if (file.generation !== undefined) url.searchParams.set('generation', String(file.generation));
  // Storage would else send what is stored as gzip in another form, of another length.
  const headers: http.OutgoingHttpHeaders = { 'accept-encoding': 'gzip', 'cache-control': 'no-store' };
  if (isSecure(url)) {
    for (const [name, value] of await storage.authClient.getRequestHeaders(url)) headers[name] = value;
  }
  const request = isSecure(url)
    ? https.get(url, { headers, agent: AGENTS['https:'] })
    : http.get(url, { headers, agent: AGENTS['http:'] });
  const [body] = (await once(request, 'response')) as [IncomingMessage];
  // What breaks later ends the body too, of which somebody is told.
  request.on('error', () => undefined);
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

const isSecure = ({ protocol }: URL) => protocol === 'https:';

async function explanationIn(body: IncomingMessage): Promise<string> {
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
