import { createReadStream } from 'node:fs';
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import { ApiError, retried, type Ticket, TryAgain } from './client.ts';

/** The local file could not be read, or it changed while it was read. */
class FileError extends Error {}

/** A request to storage is aborted after this time without traffic. */
const STORAGE_IDLE_MS = 60_000;
/** Must be a multiple of 256 KiB. An interruption costs at most one chunk. */
const CHUNK_BYTES = 8 * 2 ** 20;
/** Statuses for a session that has ended or that storage does not know. */
const SESSION_OVER = [404, 410, 499];
const MAX_RENEWALS = 3;
/** Maximum number of consecutive responses without progress. */
const MAX_STALLS = 5;

/**
 * Sends a file in one request, as the ticket says. Returns true if storage took the bytes, and false if they were already stored,
 * perhaps by an attempt whose response was lost.
 * @throws ApiError with storage's message
 */
export function send(
  ticket: Ticket,
  file: string,
  sizeBytes: number,
  progress: (bytes: number) => void,
): Promise<boolean> {
  return retried(async () => {
    const answer = await sendOnce(ticket, { file, from: 0, bytes: sizeBytes }, progress);
    if (answer.status >= 200 && answer.status < 300) return true;
    if (answer.status === 412) return false;
    throw refusal(answer);
  });
}

/**
 * Sends a file to the session of its ticket in chunks. After an interruption it continues at the offset that storage reports;
 * a session that has ended is replaced.
 * @param renew requests a new ticket
 * @returns as {@link send}
 * @throws ApiError with the message of storage or the API
 */
export async function sendInChunks(
  { ticket, renew }: { readonly ticket: Ticket; readonly renew: () => Promise<Ticket> },
  file: string,
  sizeBytes: number,
  progress: (bytes: number) => void,
): Promise<boolean> {
  let session = ticket;
  /** Null after an interruption, until storage reports the offset. */
  let offset: number | null = 0;
  let [furthest, stalls, renewals] = [0, 0, 0];
  for (;;) {
    const answer: StorageAnswer = await retried(async () => {
      const from = offset;
      offset = null;
      const answer = await sendChunk(session, { file, from, sizeBytes }, progress);
      if (isTransient(answer.status)) throw refusal(answer);
      return answer;
    });
    if (answer.status >= 200 && answer.status < 300) return true;
    if (answer.status === 412) return false;
    if (answer.status === 308) {
      offset = keptBytes(answer);
      progress(offset);
      stalls = offset > furthest ? 0 : stalls + 1;
      furthest = Math.max(furthest, offset);
      if (stalls > MAX_STALLS) throw new ApiError('Storage keeps none of the sent bytes', 'HTTP 308');
    } else if (SESSION_OVER.includes(answer.status) && renewals++ < MAX_RENEWALS) session = await renew();
    else throw refusal(answer);
  }
}

/** The number of bytes that storage has of a session. Without a Range header it has none. */
const keptBytes = ({ range = '' }: StorageAnswer) => Number(/-(\d+)$/.exec(range)?.[1] ?? -1) + 1;

function sendChunk(
  { url, headers }: Ticket,
  { file, from, sizeBytes }: { file: string; from: number | null; sizeBytes: number },
  progress: (bytes: number) => void,
): Promise<StorageAnswer> {
  const bytes = from === null ? 0 : Math.min(CHUNK_BYTES, sizeBytes - from);
  const range = bytes === 0 ? '*' : `${from}-${from! + bytes - 1}`;
  const ticket = {
    httpMethod: 'PUT',
    url,
    headers: [...headers, { name: 'content-range', value: `bytes ${range}/${sizeBytes}` }],
  };
  return sendOnce(ticket, { file, from: from ?? 0, bytes }, (sent) => progress((from ?? 0) + sent));
}

interface StorageAnswer {
  readonly status: number;
  readonly body: string;
  readonly range?: string;
}

const isTransient = (status: number) => status === 408 || status === 429 || (status >= 500 && status < 600);

function refusal({ status, body }: StorageAnswer): Error {
  const [, message = `Storage answered with HTTP ${status}`] = /<Message>([^<]*)/.exec(body) ?? [];
  if (isTransient(status)) return new TryAgain(message);
  return new ApiError(message, /<Code>([^<]*)/.exec(body)?.[1] ?? `HTTP ${status}`);
}

async function sendOnce(
  { httpMethod, url, headers }: Ticket,
  { file, from, bytes }: { readonly file: string; readonly from: number; readonly bytes: number },
  progress: (bytes: number) => void,
): Promise<StorageAnswer> {
  const request = (url.startsWith('https:') ? httpsRequest : httpRequest)(url, {
    method: httpMethod,
    headers: {
      ...Object.fromEntries(headers.map(({ name, value }) => [name, value])),
      'content-length': bytes,
    },
    timeout: STORAGE_IDLE_MS,
  });
  request.once('timeout', () => request.destroy(new Error('Storage stopped accepting bytes')));
  const answered = new Promise<IncomingMessage>((resolve, reject) => {
    request.once('response', resolve).once('error', reject);
  });
  let sent = 0;
  const body: Readable =
    bytes === 0 ? Readable.from([]) : createReadStream(file, { start: from, end: from + bytes - 1 });
  body.on('data', (chunk: Buffer) => progress((sent += chunk.length)));
  body.once('error', ({ message }: Error) => request.destroy(new FileError(message)));
  body.once('end', () => {
    if (sent !== bytes) request.destroy(new FileError('The file changed while it was read'));
  });
  // Storage may refuse before all bytes are sent; its response is more useful than the broken pipe.
  const sending = pipeline(body, request).catch(() => undefined);
  try {
    const response = await answered;
    const { statusCode: status = 0, headers: received } = response;
    return { status, body: await text(response), range: received.range };
  } catch (error) {
    if (error instanceof FileError) throw error;
    throw new TryAgain(`Storage does not answer: ${(error as Error).message}`);
  } finally {
    body.destroy();
    await sending;
  }
}
