import { describe, expect, it } from '@jest/globals';
import { BatchLoader } from './batch-loader.js';

const contextOf = () => ({ req: { id: 'r', headers: {} } });

/** A loader of doubled numbers without a value for negative ones, and the batches that it has read. */
function loaderOf() {
  const batches: (readonly number[])[] = [];
  const loader = new BatchLoader<number, number>((keys) => {
    batches.push(keys);
    return Promise.resolve(new Map(keys.filter((key) => key >= 0).map((key) => [key, 2 * key])));
  });
  return { loader, batches };
}

describe('BatchLoader', () => {
  it('reads the distinct keys of one operation together, in any copy of its context', async () => {
    const { loader, batches } = loaderOf();
    const context = contextOf();
    const loads = [3, 1, 3, -1].map((key) => loader.load({ ...context }, key));
    expect(await Promise.all(loads)).toEqual([6, 2, 6, undefined]);
    expect(batches).toEqual([[3, 1, -1]]);
  });

  it('reads the keys of two operations apart', async () => {
    const { loader, batches } = loaderOf();
    expect(await Promise.all([loader.load(contextOf(), 1), loader.load(contextOf(), 1)])).toEqual([2, 2]);
    expect(batches).toEqual([[1], [1]]);
  });

  it('keeps no values for later events of a subscription', async () => {
    let value = 1;
    const loader = new BatchLoader<string, number>((keys) =>
      Promise.resolve(new Map(keys.map((key) => [key, value]))),
    );
    const context = contextOf();
    expect(await loader.load(context, 'a')).toBe(1);
    value = 2;
    expect(await loader.load(context, 'a')).toBe(2);
  });

  it('limits the keys of one batch', async () => {
    const { loader, batches } = loaderOf();
    const context = contextOf();
    await Promise.all(Array.from({ length: 2_500 }, (_, key) => loader.load(context, key)));
    expect(batches.map(({ length }) => length)).toEqual([1_000, 1_000, 500]);
  });

  it('fails all loads of a batch that fails', async () => {
    const loader = new BatchLoader<number, number>(() => Promise.reject(new Error('down')));
    const context = contextOf();
    const loads = await Promise.allSettled([loader.load(context, 1), loader.load(context, 2)]);
    expect(loads.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
  });
});
