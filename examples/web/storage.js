import { TryAgain } from './retry.js';

/** A multiple of 256 KiB, as the protocol wants it: what an interruption costs at most. */
const PIECE_BYTES = 8 * 2 ** 20;
/** How long storage may take nothing and say nothing. */
const IDLE_MS = 60_000;

/** The ticket's URL is too old to begin with: get a fresh ticket. */
export class TicketExpired extends Error {}
/** The resumable session is over: get a ticket for a new one. */
export class SessionLost extends Error {}
/** Storage refuses for good. */
export class StorageError extends Error {}

const isDone = ({ status }) => status === 200 || status === 201;
/** 412: there is an object already, from an attempt whose answer was lost. */
const isThere = ({ status }) => status === 412;

/** Sends a file in one request, as its ticket says. */
export async function put(ticket, file, { signal, onProgress }) {
  const answer = await send({ ...requestOf(ticket), body: file, signal, onProgress });
  if (isDone(answer)) return 'sent';
  if (isThere(answer)) return 'was-there';
  throw refusal(answer);
}

/** How far a session has come: an offset, or `sent`, or `was-there`. */
export async function progressOf(session, size, { signal }) {
  const headers = { 'content-range': `bytes */${size}` };
  return progressIn(await send({ method: 'PUT', url: session, headers, signal }));
}

/** Sends one piece from an offset on; answers like progressOf. */
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

/** 308 has no Location here, so that it is no redirect; `Range: bytes=0-99` says that 100 bytes are kept, none that none are. */
function progressIn(answer) {
  if (answer.status === 308) return Number(/-(\d+)$/.exec(answer.header('range') ?? '')?.[1] ?? -1) + 1;
  if (isDone(answer)) return 'sent';
  if (isThere(answer)) return 'was-there';
  if ([404, 410, 499].includes(answer.status)) throw new SessionLost('The upload session is over');
  throw refusal(answer);
}

/** Exactly the ticket's headers: they are signed. The browser adds Host and Content-Length. */
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

/** By XMLHttpRequest, because fetch does not tell how much of a body is sent. */
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
      // The browser gives no reason.
      const isNetwork = await isReadable(body);
      reject(
        isNetwork ? new TryAgain('Storage cannot be reached') : new StorageError('The file was changed'),
      );
    };
    request.onabort = () => reject(signal.aborted ? signal.reason : new TryAgain('Storage takes no bytes'));
    request.onloadend = () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', abort);
    };
    signal.addEventListener('abort', abort);
    expectMore();
    request.send(body);
  });
}
