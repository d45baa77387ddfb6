import { expect, it } from '@jest/globals';
import { isOutOfMemory } from './exhaustion.js';

const withCode = (code: string) => Object.assign(new Error('failed'), { code });

function errorOf(act: () => unknown): unknown {
  try {
    return act();
  } catch (error) {
    return error;
  }
}

it.each<[string, unknown, boolean]>([
  ['a failed buffer allocation', new RangeError('Array buffer allocation failed'), true],
  ['an error of libjpeg', new Error('VipsJpeg: Insufficient memory (case 4)'), true],
  ['an error of libvips', new Error('vips_tracked: out of memory --- size == 48MB'), true],
  ['an error of zlib', withCode('Z_MEM_ERROR'), true],
  ['a system error', withCode('ENOMEM'), true],
  ['an error of Node.js', withCode('ERR_MEMORY_ALLOCATION_FAILED'), true],
  [
    'an exceeded decoder limit',
    new Error('heif: Memory allocation error: Security limit exceeded (2.1000)'),
    false,
  ],
  ['an out-of-range offset', new RangeError('The value of "offset" is out of range.'), false],
  ['a read past the end of a buffer', errorOf(() => Buffer.alloc(1).readUInt16BE(0)), false],
  ['a truncated file', withCode('Z_BUF_ERROR'), false],
  ['a damaged image', new Error('VipsJpeg: premature end of JPEG image'), false],
  ['a value that is no error', 'out of memory', false],
])('classifies %s', (_, error, answer) => {
  expect(isOutOfMemory(error)).toBe(answer);
});
