import { expect, it } from '@jest/globals';
import { Turns } from './turns.js';

it('runs one request at a time, and of those waiting only the latest', async () => {
  const turns = new Turns();
  const interrupted = Promise.withResolvers<void>();
  const log: string[] = [];
  const run = (name: string) =>
    turns.take(
      'id',
      () => log.push(`${name} interrupted`),
      () => Promise.resolve(log.push(name)),
    );

  const first = turns.take('id', interrupted.resolve, async () => {
    await interrupted.promise;
    log.push('first was interrupted');
  });
  const waiting = expect(run('second')).rejects.toMatchObject({ status: 409 });
  const third = run('third');
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
  await run('fourth');
  expect(log).toEqual(['first was interrupted', 'third', 'fourth']);
});

it('runs the next request after one that failed', async () => {
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
