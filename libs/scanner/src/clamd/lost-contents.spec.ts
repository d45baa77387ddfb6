import { expect, it } from '@jest/globals';
import { LostContents } from './lost-contents.js';

it('counts what is lost in a row, by content', () => {
  const lost = new LostContents();
  expect([lost.note('a'), lost.note('b'), lost.note('a')]).toEqual([1, 1, 2]);
  lost.forget(() => 'a');
  expect([lost.note('a'), lost.note('b')]).toEqual([1, 2]);
});

it('asks for no hash while there is nothing to forget', () => {
  new LostContents().forget(() => {
    throw new Error('asked');
  });
});

it('remembers the last thousand', () => {
  const lost = new LostContents();
  lost.note('first');
  lost.note('again');
  for (let i = 0; i < 998; i++) lost.note(String(i));
  expect(lost.note('again')).toBe(2);
  lost.note('one more');
  expect(lost.note('first')).toBe(1);
  expect(lost.note('again')).toBe(3);
});
