import { describe, expect, it } from '@jest/globals';
import { nextStep, parseContentRange, QUANTUM } from './content-range.js';

const Q = QUANTUM;

describe('parseContentRange', () => {
  it.each<[string | undefined, ReturnType<typeof parseContentRange>]>([
    [undefined, { first: 0 }],
    ['bytes */*', { first: undefined, last: undefined, total: undefined }],
    ['bytes */7', { first: undefined, last: undefined, total: 7 }],
    ['bytes 0-*/*', { first: 0, last: undefined, total: undefined }],
    ['bytes 5-*/7', { first: 5, last: undefined, total: 7 }],
    ['bytes 5-6/*', { first: 5, last: 6, total: undefined }],
    ['bytes 5-6/7', { first: 5, last: 6, total: 7 }],
    ['bytes 0--1/0', { first: 0, last: -1, total: 0 }],
    ['bytes 7-6/7', { first: 7, last: 6, total: 7 }],
  ])('parses %s', (header, range) => {
    expect(parseContentRange(header)).toEqual(range);
  });

  it.each([
    '',
    'bytes',
    'bytes 1-2',
    'bytes 5-3/9',
    'bytes 0-7/7',
    'bytes 8-*/7',
    'bytes -5/9',
    'octets 0-1/2',
  ])('rejects "%s"', (header) => {
    expect(() => parseContentRange(header)).toThrow(/^Invalid request\./);
  });
});

describe('nextStep', () => {
  type Case = [
    header: string | undefined,
    stored: number,
    known: number | undefined,
    length: number | undefined,
    step: Partial<ReturnType<typeof nextStep>>,
  ];
  const step = (header: string | undefined, stored: number, known?: number, length?: number) =>
    nextStep(parseContentRange(header), { stored, total: known }, length);

  it.each<Case>([
    // Progress queries.
    ['bytes */*', 0, undefined, 0, { kind: 'report' }],
    ['bytes */*', Q, Q, 0, { kind: 'report' }],
    [`bytes */${2 * Q}`, Q, undefined, 0, { kind: 'report' }],
    // A query whose total is stored already finishes the upload.
    [`bytes */${Q}`, Q, undefined, 0, { kind: 'receive', first: Q, last: Q - 1, limit: Q, total: Q }],
    ['bytes */0', 0, undefined, 0, { kind: 'receive', first: 0, last: -1, limit: 0, total: 0 }],
    // The whole object in one request, or all of its remaining bytes.
    [undefined, 0, undefined, 9, { kind: 'receive', first: 0, limit: Infinity, total: undefined }],
    [undefined, 0, 9, 9, { kind: 'receive', first: 0, limit: 9, total: 9 }],
    ['bytes 0-*/*', 0, undefined, undefined, { kind: 'receive', first: 0, limit: Infinity }],
    [`bytes ${Q}-*/*`, Q, undefined, undefined, { kind: 'receive', first: Q, limit: Infinity }],
    [`bytes ${Q}-*/${Q + 9}`, Q, undefined, undefined, { kind: 'receive', first: Q, limit: Q + 9 }],
    // Chunks; the last may have any size.
    [`bytes 0-${Q - 1}/*`, 0, undefined, Q, { kind: 'receive', first: 0, last: Q - 1, limit: Q }],
    [`bytes ${Q}-${Q + 8}/${Q + 9}`, Q, undefined, 9, { kind: 'receive', total: Q + 9, limit: Q + 9 }],
    [`bytes ${Q}-${Q + 8}/*`, Q, Q + 9, 9, { kind: 'receive', total: Q + 9, limit: Q + 9 }],
    ['bytes 0--1/0', 0, undefined, 0, { kind: 'receive', first: 0, last: -1, limit: 0 }],
    // Too small, although not the last chunk.
    [`bytes 0-${Q - 2}/*`, 0, undefined, Q - 1, { kind: 'refuse', status: 400 }],
    [`bytes 0-8/${Q}`, 0, undefined, 9, { kind: 'refuse', status: 400 }],
    // Bytes sent again, in part or as a whole.
    [`bytes 0-${2 * Q - 1}/*`, Q, undefined, 2 * Q, { kind: 'receive', first: 0, limit: 2 * Q }],
    [`bytes 0-${Q - 1}/*`, 3 * Q, undefined, Q, { kind: 'receive', first: 0, limit: Q }],
    // A gap after the stored bytes.
    [`bytes ${Q}-*/*`, 0, undefined, undefined, { kind: 'refuse', status: 503 }],
    [`bytes ${2 * Q}-${3 * Q - 1}/*`, Q, undefined, Q, { kind: 'refuse', status: 503 }],
  ])(
    'decides %s with %p bytes stored, total %p and body length %p',
    (header, stored, known, length, expected) => {
      expect(step(header, stored, known, length)).toMatchObject(expected);
    },
  );

  it.each<[string, number, number | undefined, number | undefined, RegExp]>([
    [`bytes 0-${Q - 1}/*`, 0, undefined, Q - 1, /has 262143 bytes/],
    [`bytes 0-${Q - 1}/${2 * Q}`, 0, Q, Q, /said to be 262144 before/],
    [`bytes */${Q}`, 2 * Q, undefined, 0, /already uploaded/],
    [`bytes 0-8/9`, Q, undefined, 9, /already uploaded/],
  ])(
    'rejects %s with %p bytes stored, total %p and body length %p',
    (header, stored, known, length, message) => {
      expect(() => step(header, stored, known, length)).toThrow(message);
    },
  );

  it('reports a gap in the exact words of the service', () => {
    expect(step(`bytes ${2 * Q}-*/*`, Q)).toEqual({
      kind: 'refuse',
      status: 503,
      message:
        'Invalid request.  According to the Content-Range header, the upload offset is 524288 byte(s), ' +
        'which exceeds already uploaded size of 262144 byte(s).',
    });
  });
});
