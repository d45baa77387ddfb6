import { expect, it } from '@jest/globals';
import { Turns } from './turns.js';

it('lets one work at a time, and the latest of those who wait', async () => {
  const turns = new Turns();
  const interrupted = Promise.withResolvers<void>();
  const log: string[] = [];
  const enter = (name: string) =>
    turns.take(
      'id',
      () => log.push(`${name} interrupted`),
      () => Promise.resolve(log.push(name)),
    );

  const first = turns.take('id', interrupted.resolve, async () => {
    await interrupted.promise;
    log.push('first gave way');
  });
  const waiting = expect(enter('second')).rejects.toMatchObject({ status: 409 });
  const third = enter('third');
  await Promise.all([
    first,
    waiting,
    third,
    turns.take(
      'other',
      () => undefined,
      () => Promise.resolve(),
    ),
  ]);
  await enter('fourth');
  expect(log).toEqual(['first gave way', 'third', 'fourth']);
});

it('goes on after one that failed', async () => {
  const turns = new Turns();
  const failing = turns.take(
    'id',
    () => undefined,
    () => Promise.reject(new Error('disk')),
  );
  await expect(failing).rejects.toThrow('disk');
  await expect(
    turns.take(
      'id',
      () => undefined,
      () => Promise.resolve(1),
    ),
  ).resolves.toBe(1);
});
