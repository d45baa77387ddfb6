import { describe, expect, it } from '@jest/globals';
import { ByteSize, DateTime, LocalDateTime, Long } from './scalars.js';

describe('DateTime', () => {
  it.each([
    ['2026-01-31T12:00:00Z', '2026-01-31T12:00:00.000Z'],
    ['2026-01-31t12:00:00.123456789+05:30', '2026-01-31T06:30:00.123Z'],
    ['0001-01-01T00:00:00Z', '0001-01-01T00:00:00.000Z'],
    ['0000-12-31T23:59:59-00:01', '0001-01-01T00:00:59.000Z'],
    ['9999-12-31T23:59:59.999Z', '9999-12-31T23:59:59.999Z'],
    ['9999-12-31T23:59:59+00:01', '9999-12-31T23:58:59.000Z'],
  ])('reads %s as %s', (text, instant) => {
    const value = DateTime.parseValue(text);
    expect(DateTime.serialize(value)).toBe(instant);
  });

  it.each([
    '0000-12-31T23:59:59Z',
    '0001-01-01T00:00:00+00:01',
    '9999-12-31T23:59:59-23:59',
    '9999-12-31T23:59:59.999-00:01',
    '10000-01-01T00:00:00Z',
    '+010000-01-01T00:00:00Z',
    '-000001-01-01T00:00:00Z',
    '2026-13-01T00:00:00Z',
    '2026-01-31T12:00:00',
    '2026-01-31',
    '',
    1e12,
    null,
  ])('rejects %j', (value) => {
    expect(() => DateTime.parseValue(value)).toThrow(
      expect.objectContaining({ kind: 'invalid', reason: 'DATE_TIME_INVALID' }),
    );
  });
});

describe('LocalDateTime', () => {
  it.each([
    ['2026-01-31T12:00:00', '2026-01-31T12:00:00'],
    ['2026-01-31T12:00:00.5', '2026-01-31T12:00:00.500'],
    ['2026-01-31T12:00:00.123999999', '2026-01-31T12:00:00.123'],
    ['2026-01-31T12:00:00.000', '2026-01-31T12:00:00'],
    ['2024-02-29T23:59:59', '2024-02-29T23:59:59'],
    ['1800-01-01T00:00:00', '1800-01-01T00:00:00'],
    ['2100-12-31T23:59:59.999', '2100-12-31T23:59:59.999'],
  ])('reads %s as %s', (text, local) => {
    expect(LocalDateTime.serialize(LocalDateTime.parseValue(text))).toBe(local);
  });

  it.each([
    '2026-01-31T12:00:00Z',
    '2026-01-31T12:00:00+02:00',
    '2026-01-31T12:00',
    '2026-01-31',
    '2026-01-31 12:00:00',
    '2026-02-30T12:00:00',
    '2026-13-01T12:00:00',
    '2026-01-31T24:00:00',
    '2026-01-31T12:00:60',
    '1799-12-31T23:59:59.999',
    '2101-01-01T00:00:00',
    '2026-01-31T12:00:00.',
    '2026-01-31T12:00:00\n',
    '',
    1e12,
    null,
  ])('rejects %j', (value) => {
    expect(() => LocalDateTime.parseValue(value)).toThrow(
      expect.objectContaining({ kind: 'invalid', reason: 'LOCAL_DATE_TIME_INVALID' }),
    );
  });
});

describe.each([ByteSize, Long])('%s', (type) => {
  it.each([
    [0, 0],
    [2 ** 53 - 1, 2 ** 53 - 1],
    ['3000000000', 3_000_000_000],
    [3_000_000_000n, 3_000_000_000],
  ])('reads and returns %s as a number', (value, number) => {
    expect(type.parseValue(value)).toBe(number);
    expect(type.serialize(value)).toBe(number);
  });

  it.each([-1, 1.5, 2 ** 53, '01', '1e3', '', 'x', null, -1n])('rejects %s', (value) => {
    expect(() => type.parseValue(value)).toThrow(
      expect.objectContaining({
        kind: 'invalid',
        reason: 'NUMBER_INVALID',
        message: expect.stringContaining(`${type.name} must be a whole number`),
      }),
    );
  });
});
