import { once } from 'node:events';
import { ApiError, ClientGone, type ErrorKind } from '../http/errors.js';
import type { Exchange, Tap } from '../http/exchange.js';
import type { ObjectKey } from '../store/objects.js';
import type { Faults } from './faults.js';
import type { RequestFault } from './rule.js';

const KINDS: Record<429 | 500 | 503, ErrorKind> = { 429: 'rateLimited', 500: 'internal', 503: 'unavailable' };

/** Throttled bytes go in this many steps a second. */
const STEPS_PER_SECOND = 20;

/** Does to a request what the rules say, if anything; throws when it is to be refused. Call before it is looked at any further. */
export async function injectFault(faults: Faults, exchange: Exchange, key: ObjectKey): Promise<void> {
  // Browsers ask by themselves; what is to go wrong is the request they ask for.
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
  // A handler need not read the body at all.
  if ('cutAfterBytes' in fault && fault.direction === 'request' && fault.cutAfterBytes === 0)
    await cut(exchange, fault);
}

function refusalOf({ status, retryAfter }: Extract<RequestFault, { status: number }>): ApiError {
  const headers = retryAfter === undefined ? undefined : { 'Retry-After': String(retryAfter) };
  return new ApiError(KINDS[status], { headers });
}

/** Of a response, what was sent so far still arrives. */
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
