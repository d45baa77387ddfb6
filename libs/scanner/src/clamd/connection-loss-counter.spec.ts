import { expect, it } from '@jest/globals';
import { ConnectionLossCounter } from './connection-loss-counter.js';

/** Notes scans that run one after the other. */
function oneByOne() {
  const lost = new ConnectionLossCounter();
  let at = 0;
  return { lost, note: (sha256: string) => lost.note(sha256, (at += 1), (at += 1)) };
}

it('counts consecutive losses for each content', () => {
  const { lost, note } = oneByOne();
  expect([note('a'), note('b'), note('a')]).toEqual([1, 1, 2]);
  lost.forget(() => 'a');
  expect([note('a'), note('b')]).toEqual([1, 2]);
});

it('counts concurrent losses of one content once', () => {
  const lost = new ConnectionLossCounter();
  expect([lost.note('a', 1, 5), lost.note('a', 2, 6), lost.note('a', 4, 7)]).toEqual([1, 1, 1]);
  expect(lost.note('a', 8, 9)).toBe(2);
});

it('computes no hash while no loss is recorded', () => {
  new ConnectionLossCounter().forget(() => {
    throw new Error('computed');
  });
});

it('remembers the last thousand contents', () => {
  const { note } = oneByOne();
  note('first');
  note('again');
  for (let i = 0; i < 998; i++) note(String(i));
  expect(note('again')).toBe(2);
  note('one more');
  expect(note('first')).toBe(1);
  expect(note('again')).toBe(3);
});
