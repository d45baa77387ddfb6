import { expect, it } from '@jest/globals';
import { type DeclaredProperty, sanitizeDeclared } from './declared-properties.js';

const FLOAT = { type: 'float', min: 0, max: 1e9 } as const;
const INT = { type: 'int', min: -5, max: 5 } as const;
const TEXT = { type: 'text', maxLength: 5 } as const;
const INSTANT = { type: 'instant' } as const;
const NONE = undefined;

it.each<[DeclaredProperty, unknown, unknown]>([
  [FLOAT, 1.5, 1.5],
  [FLOAT, 0, 0],
  [FLOAT, -0.1, NONE],
  [FLOAT, 1e10, NONE],
  [FLOAT, Infinity, NONE],
  [FLOAT, NaN, NONE],
  [FLOAT, '1', NONE],
  [FLOAT, [1], NONE],
  [FLOAT, true, NONE],
  [INT, -5, -5],
  [INT, 1.5, NONE],
  [INT, 6, NONE],
  [{ type: 'boolean' }, false, false],
  [{ type: 'boolean' }, 0, NONE],
  [TEXT, 'a\u0000\n b', 'a b'],
  [TEXT, 'abcdefgh', 'abcde'],
  [TEXT, '\ud800\u202e', NONE],
  [TEXT, ' ', NONE],
  [TEXT, { toString: () => 'a' }, NONE],
  [INSTANT, '2026-01-31T12:00:00Z', '2026-01-31T12:00:00.000Z'],
  [INSTANT, '2026-13-31T12:00:00Z', NONE],
  [INSTANT, '9999-01-31T12:00:00Z', NONE],
  [INSTANT, '2026-01-31', NONE],
  [INSTANT, 1, NONE],
])('keeps a value of the declared type and bounds alone: %j of %j gives %j', (declared, value, kept) => {
  const { properties, dropped } = sanitizeDeclared({ value }, { value: declared });
  expect(properties).toEqual(kept === NONE ? {} : { value: kept });
  expect(dropped).toBe(kept === NONE ? 1 : 0);
});

it('drops undeclared properties and counts them, but not missing ones', () => {
  const found = JSON.parse('{"a":1,"b":2,"constructor":3,"__proto__":4,"c":null}') as object;
  const { properties, dropped } = sanitizeDeclared(found, { a: FLOAT, c: FLOAT });
  expect(properties).toEqual({ a: 1 });
  expect(Object.getPrototypeOf(properties)).toBe(Object.prototype);
  expect(dropped).toBe(3);
});
