import { TryAgain } from './retry.js';

/** Chunk size, a multiple of 256 KiB as the protocol requires. An interruption costs at most one chunk. */
const PIECE_BYTES = 8 * 2 ** 20;
/** Time after which a transfer without progress is aborted. */
const IDLE_MS = 60_000;

/** The URL of the ticket is too old to start a request: get a new ticket. */
export class TicketExpired extends Error {}
/** The resumable session has ended: get a ticket for a new one. */
export class SessionLost extends Error {}
/** Storage refuses the request, and would refuse a retry. */
export class StorageError extends Error {}

const isDone = ({ status }) => status === 200 || status === 201;
/** 412: the object exists already, from an attempt whose answer was lost. */
const isStored = ({ status }) => status === 412;

/** Sends a file in one request, as its ticket says. Returns `sent` or `already-stored`. */
export async function put(ticket, file, { signal, onProgress }) {
  const answer = await send({ ...requestOf(ticket), body: file, signal, onProgress });
  if (isDone(answer)) return 'sent';
  if (isStored(answer)) return 'already-stored';
  throw refusal(answer);
}

/** Returns the progress of a session: an offset in bytes, `sent` or `already-stored`. */
export async function progressOf(session, size, { signal }) {
  const headers = { 'content-range': `bytes */${size}` };
  return progressIn(await send({ method: 'PUT', url: session, headers, signal }));
}

/** Sends one chunk from an offset. Returns the progress like progressOf. */
export async function sendPiece(session, file, offset, { signal, onProgress }) {
  const end = Math.min(offset + PIECE_BYTES, file.size);
  const answer = await send({
    method: 'PUT',
    url: session,
    headers: { 'content-range': `bytes ${offset}-${end - 1}/${file.size}` },
    body: file.slice(offset, end),
    signal,
    onProgress: (bytes) => onProgress(offset + bytes),
  });
  return progressIn(answer);
}

/** 308 without a Location is no redirect. `Range: bytes=0-99` says that 100 bytes are stored; without Range it is none. */
function progressIn(answer) {
  if (answer.status === 308) return Number(/-(\d+)$/.exec(answer.header('range') ?? '')?.[1] ?? -1) + 1;
  if (isDone(answer)) return 'sent';
  if (isStored(answer)) return 'already-stored';
  if ([404, 410, 499].includes(answer.status)) throw new SessionLost('The upload session is over');
  throw refusal(answer);
}

/** Sends exactly the headers of the ticket, because they are signed. The browser adds Host and Content-Length. */
const requestOf = ({ httpMethod: method, url, headers }) => ({
  method,
  url,
  headers: Object.fromEntries(headers.map(({ name, value }) => [name, value])),
});

function refusal({ status, text }) {
  const code = /<Code>([^<]*)/.exec(text)?.[1] ?? `HTTP ${status}`;
  const message = `Storage refused: ${/<Message>([^<]*)/.exec(text)?.[1] ?? 'no reason given'} (${code})`;
  if (code === 'ExpiredToken') return new TicketExpired(message);
  if (status === 408 || status === 409 || status === 429 || status >= 500) return new TryAgain(message);
  return new StorageError(message);
}

const isReadable = async (body) =>
  body === null ||
  body
    .slice(0, 1)
    .arrayBuffer()
    .then(
      () => true,
      () => false,
    );

/** Uses XMLHttpRequest, because fetch does not report upload progress. */
function send({ method, url, headers, body = null, signal, onProgress }) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    const abort = () => request.abort();
    let timer;
    const expectMore = () => {
      clearTimeout(timer);
      timer = setTimeout(abort, IDLE_MS);
    };
    request.open(method, url);
    for (const [name, value] of Object.entries(headers)) request.setRequestHeader(name, value);
    request.upload.onprogress = ({ loaded }) => {
      expectMore();
      onProgress?.(loaded);
    };
    request.onload = () =>
      resolve({
        status: request.status,
        text: request.responseText,
        header: (name) => request.getResponseHeader(name),
      });
    request.onerror = async () => {
      // The browser gives no reason, so a read shows whether the file or the network has failed.
      const isNetwork = await isReadable(body);
      reject(
        isNetwork ? new TryAgain('Storage cannot be reached') : new StorageError('The file was changed'),
      );
    };
    request.onabort = () => reject(signal.aborted ? signal.reason : new TryAgain('Storage does not respond'));
    request.onloadend = () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', abort);
    };
    signal.addEventListener('abort', abort);
    expectMore();
    request.send(body);
  });
}
