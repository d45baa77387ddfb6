import type { IncomingMessage, ServerResponse } from 'node:http';
import { expect, it } from '@jest/globals';
import { adminHandler } from './admin.js';
import { AdjustableClock } from './clock.js';
import { Faults } from './faults/faults.js';
import { Exchange } from './http/exchange.js';
import type { DamageControl } from './store/damage.js';

const handle = adminHandler({
  faults: new Faults(),
  forge: () => Promise.resolve(),
  damage: {} as DamageControl,
  clock: new AdjustableClock(() => new Date(0)),
});

function call(
  remoteAddress: string,
  headers: Record<string, string>,
  method = 'GET',
  url = '/_emulator/faults',
) {
  const request = { method, url, headers, socket: { remoteAddress } } as unknown as IncomingMessage;
  return () => handle(new Exchange(request, {} as ServerResponse));
}

it.each([
  ['127.0.0.1', { host: '127.0.0.1:4443' }],
  ['127.0.0.2', { host: 'localhost' }],
  ['::1', { host: '[::1]:4443' }],
  ['::ffff:127.0.0.1', { host: 'localhost:4443' }],
])('accepts a caller at %s with headers %j', (address, headers) => {
  expect(call(address, headers)()).toMatchObject({ status: 200 });
});

it.each([
  ['10.0.0.5', { host: 'localhost' }],
  ['::ffff:10.0.0.5', { host: 'localhost' }],
  ['2001:db8::1', { host: '[::1]' }],
])('rejects a caller at %s with headers %j', (address, headers) => {
  expect(call(address, headers)).toThrow(expect.objectContaining({ status: 403 }));
});

it('rejects a body that is not JSON and an unknown path', () => {
  const host = 'localhost';
  const text = { host, 'content-type': 'text/plain' };
  for (const path of ['faults', 'damage/drop', 'clock']) {
    const request = call('127.0.0.1', text, 'POST', `/_emulator/${path}`);
    expect(request).toThrow(expect.objectContaining({ status: 400 }));
  }
  expect(call('127.0.0.1', { host }, 'GET', '/_emulator/other')).toThrow(
    expect.objectContaining({ status: 404 }),
  );
});
