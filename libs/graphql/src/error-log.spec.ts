import { describe, expect, it, jest } from '@jest/globals';
import { buildSchema, graphql, GraphQLError } from 'graphql';
import type { PinoLogger } from 'nestjs-pino';
import { unavailable } from '#libs/domain';
import { logErrors } from './error-log.js';

const MARK = 'mark4111';
const schema = buildSchema(
  'type Query { one(n: Int): String, many: [Item!]!, list: [Item] } type Item { name: String! }',
);

/** Runs an operation and returns the calls of the logger for its errors. */
async function logged(source: string, rootValue: object = {}, variableValues: Record<string, unknown> = {}) {
  const { errors = [] } = await graphql({ schema, source, rootValue, variableValues });
  const logger = { error: jest.fn(), debug: jest.fn() };
  logErrors(logger as unknown as PinoLogger, errors, 'r1');
  return { errors: logger.error.mock.calls, debug: logger.debug.mock.calls };
}

describe('logErrors', () => {
  it('logs an unexpected error with its cause and the schema’s field name, and no client input', async () => {
    const bug = new TypeError('x is not a function');
    const one = () => {
      throw bug;
    };
    const { errors, debug } = await logged(`query ${MARK} { ${MARK}: one }`, { one });
    expect(errors).toEqual([[{ err: bug, field: 'one', errors: 1, reqId: 'r1' }, 'operation failed']]);
    expect(debug).toEqual([]);
    expect(JSON.stringify(errors)).not.toContain(MARK);
  });

  it('logs an unavailable dependency as an error', async () => {
    const down = unavailable('DATABASE_UNAVAILABLE', 'The database is not available.');
    const { errors } = await logged('{ one }', { one: () => Promise.reject(down) });
    expect(errors).toEqual([[expect.objectContaining({ err: down }), 'operation failed']]);
  });

  it('omits a value that the field cannot serialize', async () => {
    const { errors, debug } = await logged('{ one }', { one: { [MARK]: MARK } });
    expect(errors).toEqual([[expect.objectContaining({ field: 'one' }), 'operation failed']]);
    const [[{ err }]] = errors as [[{ err: Error }]];
    expect(err.message).toBe('String cannot represent value');
    expect(`${err.stack}`).not.toContain(MARK);
    expect(debug).toEqual([]);
  });

  it('logs at most five errors of one operation, with their number', async () => {
    const { errors } = await logged('{ list { name } }', { list: Array.from({ length: 100 }, () => ({})) });
    expect(errors).toHaveLength(5);
    expect(errors[0]).toEqual([expect.objectContaining({ field: 'name', errors: 100 }), 'operation failed']);
  });

  it.each([
    ['an unknown field', `{ ${MARK} }`, {}, 1],
    ['a wrong literal', `{ one(n: "${MARK}") }`, {}, 1],
    ['a syntax error', `{ one(${MARK} }`, {}, 1],
    ['a wrong variable', 'query ($n: Int) { one(n: $n) }', { n: MARK }, 1],
    ['many unknown fields', `{ ${[1, 2, 3].map((n) => `${MARK}${n}`).join(' ')} }`, {}, 3],
  ])('logs %s in one debug line with its code', async (_, source, variables, count) => {
    const { errors, debug } = await logged(source, {}, variables);
    expect(errors).toEqual([]);
    const line = { code: expect.any(String), reason: undefined, errors: count, reqId: 'r1' };
    expect(debug).toEqual([[line, 'operation refused']]);
    expect(JSON.stringify(debug)).not.toContain(MARK);
  });

  it('logs a GraphQLError of a resolver as an unexpected error', async () => {
    const one = () => Promise.reject(new GraphQLError('a library’s'));
    expect((await logged('{ one }', { one })).errors).toHaveLength(1);
  });
});
