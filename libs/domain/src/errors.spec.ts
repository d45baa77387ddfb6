import { describe, expect, it } from '@jest/globals';
import { assetNotFound, ERROR_KINDS, invalid, kindOf, StowageError, unavailable } from './errors.js';

describe('ERROR_KINDS', () => {
  it.each([
    ['invalid', 'BAD_USER_INPUT', 400, 'fail', 'ack'],
    ['unauthenticated', 'UNAUTHENTICATED', 401, 'retry', 'nack'],
    ['forbidden', 'FORBIDDEN', 403, 'fail', 'ack'],
    ['not-found', 'NOT_FOUND', 404, 'done', 'ack'],
    ['conflict', 'CONFLICT', 409, 'done', 'ack'],
    ['over-quota', 'QUOTA_EXCEEDED', 413, 'retry', 'nack'],
    ['rejected', 'REJECTED', 422, 'reject', 'ack'],
    ['rate-limited', 'RATE_LIMITED', 429, 'retry', 'nack'],
    ['unavailable', 'UNAVAILABLE', 503, 'wait', 'pause'],
    ['internal', 'INTERNAL_SERVER_ERROR', 500, 'retry', 'nack'],
  ] as const)('maps %s to %s, %i, %s and %s', (kind, graphql, http, queue, event) => {
    expect(ERROR_KINDS[kind]).toEqual({ graphql, http, queue, event });
  });
});

describe('kindOf', () => {
  it.each([
    [invalid('X', 'x'), 'invalid'],
    [unavailable('X', 'x'), 'unavailable'],
    [assetNotFound(), 'not-found'],
    [new StowageError('rejected', 'MALWARE', 'x'), 'rejected'],
    [new TypeError('x'), 'internal'],
    ['thrown text', 'internal'],
    [undefined, 'internal'],
  ])('classifies %p as %s', (error, kind) => {
    expect(kindOf(error)).toBe(kind);
  });
});
