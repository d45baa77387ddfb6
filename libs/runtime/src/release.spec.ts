import { expect, it } from '@jest/globals';
import { release } from './release.js';

it('frees a whole buffer and leaves a part of a larger one unchanged', () => {
  const whole = Buffer.from(new ArrayBuffer(100_000));
  const part = Buffer.from(new ArrayBuffer(100_000), 0, 50_000);
  release(whole);
  release(part);
  expect([whole.length, part.length]).toEqual([0, 50_000]);
});
