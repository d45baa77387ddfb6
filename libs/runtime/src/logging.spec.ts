import { describe, expect, it } from '@jest/globals';
import { pino, type LoggerOptions } from 'pino';
import { boundedLine, loggedError, loggerParams } from './logging.js';

describe('loggedError', () => {
  it('keeps type, message, stack and code and drops attached objects', () => {
    const cause = new TypeError('inside');
    const connection = { secretKey: 1234, headers: { authorization: 'Bearer x' } };
    const error = Object.assign(new Error('outside', { cause }), {
      code: 'ECONNRESET',
      client: connection,
      response: connection,
      args: ['a token'],
    });
    expect(loggedError(error)).toEqual({
      type: 'Error',
      message: 'outside: inside',
      stack: expect.stringMatching(/outside[^]*caused by: TypeError: inside/) as unknown,
      code: 'ECONNRESET',
    });
  });

  it('accepts a serialized error and values that are not errors', () => {
    expect(loggedError({ type: 'Error', message: 'm', client: {} })).toEqual({ type: 'Error', message: 'm' });
    expect(loggedError('thrown')).toBe('thrown');
    expect(loggedError(undefined)).toBeUndefined();
  });
});

describe('loggedError with untrusted values', () => {
  it('drops details that quote a row and unknown fields', () => {
    const error = Object.assign(new Error('duplicate key value violates unique constraint "key"'), {
      code: '23505',
      constraint: 'key',
      detail: 'Key (name)=(secret) already exists.',
      where: 'secret',
      query: 'secret',
    });
    const logged = loggedError(error);
    expect(logged).toMatchObject({ code: '23505', constraint: 'key', message: error.message });
    expect(JSON.stringify(logged)).not.toContain('secret');
  });

  it('removes the invalid value from a database error, also in a cause', () => {
    const cause = Object.assign(new Error('invalid input syntax for type uuid: "secret"'), { code: '22P02' });
    for (const error of [cause, new Error('not read', { cause })]) {
      expect(loggedError(error)).toMatchObject({
        message: expect.stringContaining('invalid input syntax for type uuid: "…"'),
      });
      expect(JSON.stringify(loggedError(error))).not.toContain('secret');
    }
  });

  it('truncates long values', () => {
    const error = Object.assign(new Error('m'.repeat(1_000_000)), { code: 'c'.repeat(1_000_000) });
    expect(JSON.stringify(loggedError(error)).length).toBeLessThan(16_384);
    expect((loggedError('t'.repeat(1_000_000)) as string).length).toBeLessThan(8_192);
  });
});

describe('loggerParams', () => {
  it('configures bounded lines and error serialization', () => {
    const lines: string[] = [];
    const options = loggerParams('api', 'debug').pinoHttp as LoggerOptions;
    const logger = pino(options, { write: (line) => lines.push(line) });
    const err = Object.assign(new Error('m'.repeat(100_000)), { query: 'secret' });
    logger.child({ context: 'GraphQL' }).error({ err, extra: 'x'.repeat(100_000) }, 'failed');
    expect(lines).toHaveLength(1);
    expect(Buffer.byteLength(lines[0]!)).toBeLessThanOrEqual(16 * 1024);
    expect(JSON.parse(lines[0]!)).toMatchObject({ service: 'api', context: 'GraphQL', msg: 'failed' });
    expect(lines[0]).not.toContain('secret');
  });
});

describe('boundedLine', () => {
  const line = (fields: object) =>
    `${JSON.stringify({ level: 50, time: 1, pid: 2, service: 'api', ...fields })}\n`;

  it('keeps a line within the limit', () => {
    for (const fields of [{ msg: 'fine' }, { msg: 'x'.repeat(16_000) }])
      expect(boundedLine(line(fields))).toBe(line(fields));
  });

  it.each<[string, object]>([
    ['one long text', { msg: 'x'.repeat(1_000_000) }],
    ['multi-byte text', { msg: '€'.repeat(16_000) }],
    ['text that JSON escapes', { msg: '\u0000'.repeat(1_000_000) }],
    ['surrogate pairs', { msg: `x${'😀'.repeat(100_000)}` }],
    ['a long list', { list: Array.from({ length: 100_000 }, String) }],
    ['many fields', Object.fromEntries(Array.from({ length: 10_000 }, (_, index) => [`field${index}`, 'x']))],
    ['nested texts', { a: { b: { c: 'x'.repeat(1_000_000), err: { stack: 'y'.repeat(1_000_000) } } } }],
    ['an invalid request id', { reqId: { deep: 'x'.repeat(100_000) }, context: 'x'.repeat(100_000) }],
  ])('truncates %s to a line of JSON with its head fields', (_, fields) => {
    const bounded = boundedLine(line(fields));
    expect(Buffer.byteLength(bounded)).toBeLessThanOrEqual(16 * 1024);
    expect(bounded).toMatch(/^[^\n]+\n$/);
    expect(JSON.parse(bounded)).toMatchObject({ level: 50, time: 1, pid: 2, service: 'api' });
  });
});
