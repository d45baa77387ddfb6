import { AsyncLocalStorage } from 'node:async_hooks';
import { describe, expect, it } from '@jest/globals';
import { unavailable } from '#libs/domain';
import { Batcher } from './batcher.js';

/** A batcher that doubles numbers; each batch waits until the test ends it. */
function doubler(options = { atOnce: 1, most: 10 }) {
  const batches: { readonly items: readonly number[]; readonly end: () => void }[] = [];
  const batcher = new Batcher<number, number>(
    (items) =>
      new Promise((resolve) => {
        batches.push({ items, end: () => resolve(items.map((n) => n * 2)) });
      }),
    options,
  );
  return { batcher, batches };
}

const turn = () => new Promise((resolve) => setImmediate(resolve));

describe('Batcher', () => {
  it('combines simultaneous items into a batch and returns each its own result', async () => {
    const { batcher, batches } = doubler();
    const results = Promise.all([1, 2, 3].map((n) => batcher.run(n)));
    await turn();
    expect(batches.map(({ items }) => items)).toEqual([[1, 2, 3]]);
    batches[0]!.end();
    expect(await results).toEqual([2, 4, 6]);
  });

  it('collects items while the maximum number of batches is running and sends the next when one ends', async () => {
    const { batcher, batches } = doubler({ atOnce: 2, most: 2 });
    const results = [1, 2, 3, 4, 5, 6, 7].map((n) => batcher.run(n));
    await turn();
    expect(batches.map(({ items }) => items)).toEqual([
      [1, 2],
      [3, 4],
    ]);
    batches[1]!.end();
    expect(await results[3]).toBe(8);
    await turn();
    expect(batches.map(({ items }) => items).slice(2)).toEqual([[5, 6]]);
    batches[0]!.end();
    await turn();
    batches[2]!.end();
    batches[3]!.end();
    expect(await Promise.all(results)).toEqual([2, 4, 6, 8, 10, 12, 14]);
  });

  it('runs each batch in the async context of its first item', async () => {
    const name = new AsyncLocalStorage<string>();
    const batcher = new Batcher<string, unknown>(
      async (items) => {
        await turn();
        return items.map(() => name.getStore());
      },
      { atOnce: 1, most: 2 },
    );
    const results = ['a', 'b', 'c'].map((item) => name.run(item, () => batcher.run(item)));
    expect(await Promise.all(results)).toEqual(['a', 'a', 'c']);
  });

  it('retries the items of a failed batch one by one', async () => {
    const alone: number[] = [];
    const batcher = new Batcher<number, number>(
      (items) => {
        if (items.includes(2)) return Promise.reject(new RangeError(`no ${items.join(' ')}`));
        if (items.length === 1) alone.push(items[0]!);
        return Promise.resolve(items);
      },
      { atOnce: 1, most: 10 },
    );
    const results = await Promise.allSettled([1, 2, 3].map((n) => batcher.run(n)));
    expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
    expect(results[1]).toMatchObject({ reason: { message: 'no 2' } });
    expect(alone).toEqual([1, 3]);
  });

  it('does not retry a batch with an unknown outcome', async () => {
    let calls = 0;
    const batcher = new Batcher<number, number>(
      () => {
        calls++;
        return Promise.reject(unavailable('DATABASE_UNAVAILABLE', 'gone'));
      },
      { atOnce: 1, most: 10 },
    );
    const results = await Promise.allSettled([1, 2].map((n) => batcher.run(n)));
    expect(results.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
    expect(calls).toBe(1);
    // The batcher still accepts new items.
    await expect(batcher.run(3)).rejects.toMatchObject({ kind: 'unavailable' });
    expect(calls).toBe(2);
  });
});
