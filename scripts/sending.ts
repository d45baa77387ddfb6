import { createReadStream } from 'node:fs';
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import { ApiError, retried, type Ticket, TryAgain } from './client.ts';

/** The file is at fault. */
class Unreadable extends Error {}

/** How long storage may take nothing and say nothing. */
const STORAGE_IDLE_MS = 60_000;
/** A multiple of 256 KiB, as the protocol wants it: what an interruption costs at most. */
const CHUNK_BYTES = 8 * 2 ** 20;
/** The session is over: storage does not know it, or it was ended. */
const SESSION_OVER = [404, 410, 499];
const MAX_RENEWALS = 3;
/** Answers in a row by which the session has come no further. */
const MAX_STALLS = 5;

/**
 * Sends a file as the ticket says. The answer is whether storage took it; false means that the bytes were there already,
 * maybe from an attempt whose answer got lost.
 * @throws ApiError with what storage said
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
 * Sends a file to the session of its ticket, chunk by chunk. After an interruption it goes on where storage says that the
 * session is; a session that is over is replaced.
 * @param renew asks for the ticket anew
 * @returns as {@link send}
 * @throws ApiError with what storage or the API said
 */
export async function sendInChunks(
  { ticket, renew }: { readonly ticket: Ticket; readonly renew: () => Promise<Ticket> },
  file: string,
  sizeBytes: number,
  progress: (bytes: number) => void,
): Promise<boolean> {
  let session = ticket;
  /** Null when only storage knows. */
  let offset: number | null = 0;
  let [furthest, stalls, renewals] = [0, 0, 0];
  for (;;) {
    const answer: StorageAnswer = await retried(async () => {
      const from = offset;
      offset = null;
      const answer = await sendChunk(session, { file, from, sizeBytes }, progress);
      if (isPassing(answer.status)) throw refusal(answer);
      return answer;
    });
    if (answer.status >= 200 && answer.status < 300) return true;
    if (answer.status === 412) return false;
    if (answer.status === 308) {
      offset = keptBytes(answer);
      progress(offset);
      stalls = offset > furthest ? 0 : stalls + 1;
      furthest = Math.max(furthest, offset);
      if (stalls > MAX_STALLS) throw new ApiError('Storage keeps nothing of what it is sent', 'HTTP 308');
    } else if (SESSION_OVER.includes(answer.status) && renewals++ < MAX_RENEWALS) session = await renew();
    else throw refusal(answer);
  }
}

/** Of a resumable session, how many bytes storage has; without a Range it has none. */
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

const isPassing = (status: number) => status === 408 || status === 429 || (status >= 500 && status < 600);

function refusal({ status, body }: StorageAnswer): Error {
  const [, message = `Storage answered with HTTP ${status}`] = /<Message>([^<]*)/.exec(body) ?? [];
  if (isPassing(status)) return new TryAgain(message);
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
  request.once('timeout', () => request.destroy(new Error('Storage takes no bytes any more')));
  const answered = new Promise<IncomingMessage>((resolve, reject) => {
    request.once('response', resolve).once('error', reject);
  });
  let sent = 0;
  const body: Readable =
    bytes === 0 ? Readable.from([]) : createReadStream(file, { start: from, end: from + bytes - 1 });
  body.on('data', (chunk: Buffer) => progress((sent += chunk.length)));
  body.once('error', ({ message }: Error) => request.destroy(new Unreadable(message)));
  body.once('end', () => {
    if (sent !== bytes) request.destroy(new Unreadable('The file changed while it was read'));
  });
  // A refusal may come before all was sent; then the answer counts, not the broken pipe.
  const sending = pipeline(body, request).catch(() => undefined);
  try {
    const response = await answered;
    const { statusCode: status = 0, headers: received } = response;
    return { status, body: await text(response), range: received.range };
  } catch (error) {
    if (error instanceof Unreadable) throw error;
    throw new TryAgain(`Storage does not answer: ${(error as Error).message}`);
  } finally {
    body.destroy();
    await sending;
  }
}
