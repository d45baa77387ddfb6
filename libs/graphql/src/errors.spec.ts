import { describe, expect, it } from '@jest/globals';
import { GraphQLError } from 'graphql';
import { ERROR_KINDS, type ErrorKind, StowageError } from '#libs/domain';
import { formatGraphQLError } from './errors.js';

const formatted = { message: 'formatted', path: ['field'], extensions: { code: 'INTERNAL_SERVER_ERROR' } };

describe('formatGraphQLError', () => {
  it.each((Object.keys(ERROR_KINDS) as ErrorKind[]).filter((kind) => kind !== 'internal'))(
    'formats %s with its code',
    (kind) => {
      const error = new StowageError(kind, 'REASON', 'message', {
        path: ['input', 'x'],
        retryAfterSeconds: 7,
      });
      const wrapped = new GraphQLError('wrapped', { originalError: error });
      expect(formatGraphQLError(formatted, wrapped)).toEqual({
        message: 'message',
        path: ['field'],
        locations: undefined,
        extensions: {
          code: ERROR_KINDS[kind].graphql,
          reason: 'REASON',
          path: ['input', 'x'],
          retryAfterSeconds: 7,
        },
      });
    },
  );

  it.each([
    new TypeError('relation "media_assets" does not exist at /srv/app.js:1'),
    new StowageError('internal', 'X', 'select * from owners'),
    'thrown text',
  ])('hides the message of an unexpected error', (error) => {
    const shown = formatGraphQLError({ ...formatted, message: 'relation' }, error);
    expect(shown).toMatchObject({
      message: 'Something went wrong on our side.',
      extensions: { code: 'INTERNAL_SERVER_ERROR' },
    });
    expect(JSON.stringify(shown)).not.toMatch(/media_assets|owners|app\.js|thrown/);
  });

  it('keeps messages about the operation itself', () => {
    const protocol = {
      message: 'Syntax Error',
      extensions: { code: 'GRAPHQL_PARSE_FAILED', stacktrace: ['x'] },
    };
    expect(formatGraphQLError(protocol, new GraphQLError('Syntax Error'))).toEqual({
      message: 'Syntax Error',
      extensions: { code: 'GRAPHQL_PARSE_FAILED' },
    });
  });
});
