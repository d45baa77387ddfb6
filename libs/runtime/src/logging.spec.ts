import { describe, expect, it } from '@jest/globals';
import { loggedError } from './logging.js';

describe('loggedError', () => {
  it('keeps what explains an error, and nothing of what hangs on it', () => {
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

  it('takes what another serializer has made of an error, and what is none', () => {
    expect(loggedError({ type: 'Error', message: 'm', client: {} })).toEqual({ type: 'Error', message: 'm' });
    expect(loggedError('thrown')).toBe('thrown');
    expect(loggedError(undefined)).toBeUndefined();
  });
});
