import { BlockList, isIPv6 } from 'node:net';
import { damageObject } from './admin-damage.js';
import type { ClockControl } from './clock.js';
import type { FaultControl } from './faults/faults.js';
import { parseRule } from './faults/rule.js';
import { ApiError } from './http/errors.js';
import { jsonReply, noContent, type Exchange, type Reply } from './http/exchange.js';
import { checkFields, isText, optional } from './http/fields.js';
import { findRoute, type Handler, type Route } from './http/router.js';
import type { Publish } from './publisher.js';
import type { DamageControl } from './store/damage.js';

/** Prefix of the admin endpoints. A bucket name cannot begin with an underscore, so no bucket path has this prefix. */
export const ADMIN_PREFIX = '/_emulator/';

const LOOPBACK = new BlockList();
LOOPBACK.addSubnet('127.0.0.0', 8, 'ipv4');
LOOPBACK.addAddress('::1', 'ipv6');

const isLoopback = (address: string) => LOOPBACK.check(address, isIPv6(address) ? 'ipv6' : 'ipv4');

/** Allows only programs on this machine; http/admission.ts has already rejected requests from web pages. */
function checkCaller(exchange: Exchange): void {
  if (!isLoopback(exchange.request.socket.remoteAddress ?? '')) throw new ApiError('accessDenied');
  const type = exchange.header('content-type');
  if (exchange.method === 'POST' && type?.startsWith('application/json') !== true) {
    throw new ApiError('invalid', { message: 'The body must be of type application/json.' });
  }
}

const isAttributes = (value: unknown): value is Record<string, string> =>
  typeof value === 'object' &&
  value !== null &&
  Object.values(value).every((text) => typeof text === 'string');

/** Publishes a made-up event. The body is `{ topic, attributes, data }` with `data` in base64, as in Pub/Sub's JSON. */
async function forgeEvent(forge: Publish, exchange: Exchange): Promise<Reply> {
  const { topic, attributes = {}, data = '' } = await exchange.json();
  if (typeof topic !== 'string' || !isAttributes(attributes) || typeof data !== 'string') {
    throw new ApiError('invalid', {
      message: 'topic and data must be strings, attributes an object of strings.',
    });
  }
  await forge(topic, { attributes, data: Buffer.from(data, 'base64') });
  return noContent;
}

/** Sets the clock to `now` (ISO 8601), or moves it by `advanceMs`. */
async function moveClock(clock: ClockControl, exchange: Exchange): Promise<Reply> {
  const body = await exchange.json();
  const isInteger = (value: unknown) => Number.isSafeInteger(value);
  checkFields('', body, { now: optional(isText), advanceMs: optional(isInteger) });
  const { now, advanceMs } = body as { now?: string; advanceMs?: number };
  if ((now === undefined) === (advanceMs === undefined)) {
    throw new ApiError('invalid', { message: 'The body must have either now or advanceMs.' });
  }
  if (now !== undefined) clock.set(new Date(now));
  else clock.advance(advanceMs ?? 0);
  return timeOf(clock);
}

const timeOf = (clock: ClockControl) => jsonReply({ now: clock.now().toISOString() });

/** Controls behind the admin API. */
export interface AdminControls {
  faults: FaultControl;
  forge: Publish;
  damage: DamageControl;
  clock: ClockControl;
}

/**
 * Handles the admin API. `faults` adds, lists (with hit counts) and clears fault rules; `faults/release` releases
 * delayed requests and held events; `events` publishes a made-up event; `damage/KIND` damages an object; `clock` reads,
 * moves and resets the clock.
 */
export function adminHandler({ faults, forge, damage, clock }: AdminControls): Handler {
  const below = (path: string) => `${ADMIN_PREFIX}${path}`;
  const add = async (exchange: Exchange) => {
    const id = faults.add(parseRule(await exchange.json()));
    return jsonReply(faults.list().find((rule) => rule.id === id));
  };
  const routes: Route[] = [
    { method: 'GET', path: below('faults'), handler: () => jsonReply({ rules: faults.list() }) },
    { method: 'POST', path: below('faults'), handler: add },
    { method: 'DELETE', path: below('faults'), handler: () => (faults.clear(), noContent) },
    { method: 'POST', path: below('faults/release'), handler: () => (faults.release(), noContent) },
    { method: 'POST', path: below('events'), handler: (exchange) => forgeEvent(forge, exchange) },
    { method: 'POST', path: below('damage/:kind'), handler: (exchange) => damageObject(damage, exchange) },
    { method: 'GET', path: below('clock'), handler: () => timeOf(clock) },
    { method: 'POST', path: below('clock'), handler: (exchange) => moveClock(clock, exchange) },
    { method: 'DELETE', path: below('clock'), handler: () => (clock.reset(), noContent) },
  ];
  return (exchange) => {
    checkCaller(exchange);
    const handler = findRoute(routes, exchange);
    if (handler === undefined) throw new ApiError('notFound');
    return handler(exchange);
  };
}
