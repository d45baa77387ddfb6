import { expect, it } from '@jest/globals';
import { parseRule } from './rule.js';

it.each([
  { action: { status: 503 } },
  { action: { status: 429, retryAfter: 2 } },
  { action: { cutAfterBytes: 0, direction: 'response' } },
  { action: { bytesPerSecond: 1000, direction: 'request' } },
  { action: { delayMs: 5 } },
  { action: { events: 'delay', delayMs: 5 } },
  { action: { events: 'lose' }, match: { bucket: 'b', keyPrefix: 'k' }, times: 1 },
  { id: 'x', action: { status: 500 }, match: { method: 'PUT', api: 'xml' }, probability: 0.5, seed: 7 },
])('accepts %j', (rule) => {
  expect(parseRule(rule)).toEqual(rule);
});

const action = { status: 503 };
it.each<[Record<string, unknown>, RegExp]>([
  [{}, /for action/],
  [{ action: {} }, /for action/],
  [{ action: { status: 404 } }, /action\.status/],
  [{ action: { status: 503, delayMs: 1 } }, /Unknown field action\.delayMs/],
  [{ action: { cutAfterBytes: 5 } }, /action\.direction/],
  [{ action: { cutAfterBytes: -1, direction: 'request' } }, /action\.cutAfterBytes/],
  [{ action: { bytesPerSecond: 0, direction: 'request' } }, /action\.bytesPerSecond/],
  [{ action: { events: 'eat' } }, /action\.events/],
  [{ action, match: { bukcet: 'b' } }, /Unknown field match\.bukcet/],
  [{ action, match: { api: 'soap' } }, /match\.api/],
  [{ action, times: 1.5 }, /times/],
  [{ action, probability: 2 }, /probability/],
  [{ action, often: true }, /Unknown field often/],
])('rejects %j', (rule, message) => {
  expect(() => parseRule(rule)).toThrow(message);
});
