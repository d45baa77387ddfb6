import { once } from 'node:events';
import { ApiError, ClientGone, type ErrorKind } from '../http/errors.js';
import type { Exchange, Tap } from '../http/exchange.js';
import type { ObjectKey } from '../store/objects.js';
import type { Faults } from './faults.js';
import type { RequestFault } from './rule.js';

const KINDS: Record<429 | 500 | 503, ErrorKind> = { 429: 'rateLimited', 500: 'internal', 503: 'unavailable' };

/** Number of chunks a second in which throttled bytes are sent. */
const STEPS_PER_SECOND = 20;

/**
 * Applies the first matching fault rule to a request. Call it before any other handling.
 * @throws {ApiError} when the rule rejects the request
 * @throws {ClientGone} when the rule cuts the connection
 */
export async function injectFault(faults: Faults, exchange: Exchange, key: ObjectKey): Promise<void> {
  // Browsers send preflights on their own; the rules apply to the requests that follow.
  if (exchange.method === 'OPTIONS') return;
  const api = exchange.isXml ? 'xml' : 'json';
  const fault = faults.ofRequest({ method: exchange.method, api, bucket: key.bucket, key: key.name });
  if (fault === undefined) return;
  if ('status' in fault) throw refusalOf(fault);
  const pause = faults.pause();
  if ('delayMs' in fault) return pause(fault.delayMs);
  const tap =
    'bytesPerSecond' in fault
      ? throttle(fault.bytesPerSecond, pause)
      : cutAfter(fault.cutAfterBytes, () => cut(exchange, fault));
  if (fault.direction === 'request') exchange.tapRequest = tap;
  else exchange.tapResponse = tap;
  // The handler may not read the body, so a cut at byte 0 happens here and not in the tap.
  if ('cutAfterBytes' in fault && fault.direction === 'request' && fault.cutAfterBytes === 0)
    await cut(exchange, fault);
}

function refusalOf({ status, retryAfter }: Extract<RequestFault, { status: number }>): ApiError {
  const headers = retryAfter === undefined ? undefined : { 'Retry-After': String(retryAfter) };
  return new ApiError(KINDS[status], { headers });
}

/** Closes the connection. The part of a response sent so far still reaches the client. */
async function cut(
  { request: { socket } }: Exchange,
  { direction, cutAfterBytes }: Extract<RequestFault, { cutAfterBytes: number }>,
): Promise<void> {
  const closed = socket.closed ? undefined : once(socket, 'close');
  if (direction === 'response' && cutAfterBytes > 0) socket.destroySoon();
  else socket.destroy();
  await closed;
  if (direction === 'request') throw new ClientGone('the connection was cut on purpose');
}

const cutAfter = (limit: number, cutNow: () => Promise<void>): Tap =>
  async function* (chunks) {
    let left = limit;
    if (left > 0) {
      for await (const chunk of chunks) {
        const part = chunk.subarray(0, left);
        left -= part.length;
        yield part;
        if (left <= 0) break;
      }
    }
    if (left <= 0) await cutNow();
  };

const throttle = (bytesPerSecond: number, pause: (ms: number) => Promise<void>): Tap => {
  const step = Math.max(1, Math.floor(bytesPerSecond / STEPS_PER_SECOND));
  return async function* (chunks) {
    for await (const chunk of chunks) {
      for (let at = 0; at < chunk.length; at += step) {
        const part = chunk.subarray(at, at + step);
        await pause((part.length / bytesPerSecond) * 1000);
        yield part;
      }
    }
  };
};
