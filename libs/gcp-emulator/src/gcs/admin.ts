import { BlockList, isIPv6 } from 'node:net';
import type { FaultControl } from './faults/faults.js';
import { parseRule } from './faults/rule.js';
import { ApiError } from './http/errors.js';
import { jsonReply, noContent, type Exchange, type Reply } from './http/exchange.js';
import { findRoute, type Route } from './http/router.js';
import type { Publish } from './publisher.js';

/** No bucket's name can begin like this. */
export const ADMIN_PREFIX = '/_emulator/';

const LOOPBACK = new BlockList();
LOOPBACK.addSubnet('127.0.0.0', 8, 'ipv4');
LOOPBACK.addAddress('::1', 'ipv6');

const isLoopback = (address: string) => LOOPBACK.check(address, isIPv6(address) ? 'ipv6' : 'ipv4');

/** Only for programs on this machine; requests of pages were refused before (http/admission.ts). */
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

/** `{ topic, attributes, data }`, the data in base64, as Pub/Sub's own JSON has it. */
async function forgeEvent(forge: Publish, exchange: Exchange): Promise<Reply> {
  const { topic, attributes = {}, data = '' } = await exchange.json();
  if (typeof topic !== 'string' || !isAttributes(attributes) || typeof data !== 'string') {
    throw new ApiError('invalid', { message: 'topic and data must be text, attributes texts by name.' });
  }
  await forge(topic, { attributes, data: Buffer.from(data, 'base64') });
  return noContent;
}

/**
 * The control of faults over HTTP: rules are added, listed with their hits and cleared at `faults`; `faults/release` lets go of
 * what they hold back; what is sent to `events` is published as if the emulator had meant it.
 */
export function adminHandler(
  faults: FaultControl,
  forge: Publish,
): (exchange: Exchange) => Reply | Promise<Reply> {
  const path = `${ADMIN_PREFIX}faults`;
  const add = async (exchange: Exchange) => {
    const id = faults.add(parseRule(await exchange.json()));
    return jsonReply(faults.list().find((rule) => rule.id === id));
  };
  const routes: Route[] = [
    { method: 'GET', path, handler: () => jsonReply({ rules: faults.list() }) },
    { method: 'POST', path, handler: add },
    { method: 'DELETE', path, handler: () => (faults.clear(), noContent) },
    { method: 'POST', path: `${path}/release`, handler: () => (faults.release(), noContent) },
    { method: 'POST', path: `${ADMIN_PREFIX}events`, handler: (exchange) => forgeEvent(forge, exchange) },
  ];
  return (exchange) => {
    checkCaller(exchange);
    const handler = findRoute(routes, exchange);
    if (handler === undefined) throw new ApiError('notFound');
    return handler(exchange);
  };
}
