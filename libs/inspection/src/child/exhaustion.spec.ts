import { expect, it } from '@jest/globals';
import { isExhaustion } from './exhaustion.js';

const withCode = (code: string) => Object.assign(new Error('failed'), { code });

function errorOf(act: () => unknown): unknown {
  try {
    return act();
  } catch (error) {
    return error;
  }
}

it.each<[string, unknown, boolean]>([
  ['a buffer that was not given', new RangeError('Array buffer allocation failed'), true],
  ['what libjpeg says', new Error('VipsJpeg: Insufficient memory (case 4)'), true],
  ['what libvips says', new Error('vips_tracked: out of memory --- size == 48MB'), true],
  ['what zlib says', withCode('Z_MEM_ERROR'), true],
  ['what the system says', withCode('ENOMEM'), true],
  ['what Node.js says', withCode('ERR_MEMORY_ALLOCATION_FAILED'), true],
  [
    'a limit of a decoder',
    new Error('heif: Memory allocation error: Security limit exceeded (2.1000)'),
    false,
  ],
  ['an offset out of bounds', new RangeError('The value of "offset" is out of range.'), false],
  ['a read past the end of a buffer', errorOf(() => Buffer.alloc(1).readUInt16BE(0)), false],
  ['a file that ends too soon', withCode('Z_BUF_ERROR'), false],
  ['a picture that is damaged', new Error('VipsJpeg: premature end of JPEG image'), false],
  ['no error', 'out of memory', false],
])('%s', (_, error, answer) => {
  expect(isExhaustion(error)).toBe(answer);
});
