import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import type { ObjectStat } from '#libs/storage';
import { comparePages, compareKeys } from './bucket-comparison.js';

const statOf = (key: string) => ({ key }) as ObjectStat;

/** Serves sorted keys in pages, as a bucket or a table does. */
function paged<Entry>(keys: readonly string[], entryOf: (key: string) => Entry) {
  const sorted = [...new Set(keys)].sort(compareKeys);
  const sizes: number[] = [];
  const read = (after: string, limit: number) => {
    const page = sorted.filter((key) => compareKeys(key, after) > 0).slice(0, limit);
    sizes.push(page.length);
    return Promise.resolve(page.map(entryOf));
  };
  return { read, sorted, sizes };
}

async function compare(objects: readonly string[], rows: readonly string[], limit: number, after = '') {
  const [listing, table] = [paged(objects, statOf), paged(rows, (key) => ({ key }))];
  const pairs: string[] = [];
  let largest = 0;
  for await (const group of comparePages(listing.read, table.read, limit, after)) {
    largest = Math.max(largest, group.length);
    pairs.push(
      ...group.map(
        ({ key, object, row }) => `${object === null ? '-' : 'o'}${row === null ? '-' : 'r'} ${key}`,
      ),
    );
  }
  return { pairs, largest, reads: listing.sizes.length + table.sizes.length };
}

const key = fc.stringMatching(/^[a-c/\u00e9\u{1F600}\uFFFD-]{1,4}$/u);
const keys = fc.array(key, { maxLength: 40 });

describe('comparePages', () => {
  it('pairs each key once, in the order of the bytes of keys, for any page size', async () => {
    await fc.assert(
      fc.asyncProperty(keys, keys, fc.integer({ min: 1, max: 7 }), async (objects, rows, limit) => {
        const expected = [...new Set([...objects, ...rows])]
          .sort(compareKeys)
          .map((key) => `${objects.includes(key) ? 'o' : '-'}${rows.includes(key) ? 'r' : '-'} ${key}`);
        const { pairs, largest } = await compare(objects, rows, limit);
        expect(pairs).toEqual(expected);
        expect(largest).toBeLessThanOrEqual(2 * limit);
      }),
    );
  });

  it('continues after any key', async () => {
    await fc.assert(
      fc.asyncProperty(keys, keys, key, async (objects, rows, after) => {
        const { pairs } = await compare(objects, rows, 3);
        const rest = pairs.filter((pair) => compareKeys(pair.slice(3), after) > 0);
        expect((await compare(objects, rows, 3, after)).pairs).toEqual(rest);
      }),
    );
  });

  it('reads each page once', async () => {
    const numbers = Array.from({ length: 1_000 }, (_, at) => String(at).padStart(4, '0'));
    expect((await compare(numbers, numbers, 100)).reads).toBe(22);
    expect((await compare(numbers, [], 100)).reads).toBe(12);
    expect((await compare([], [], 100)).reads).toBe(2);
  });
});

it('orders keys by their bytes, unlike the order of strings', () => {
  const [low, high] = ['\uFFFD', '\u{1F600}'];
  expect(low > high).toBe(true);
  expect(compareKeys(low, high)).toBeLessThan(0);
  expect(compareKeys('a', 'a')).toBe(0);
  expect(['variant', 'content/1', 'content-1'].sort(compareKeys)).toEqual([
    'content-1',
    'content/1',
    'variant',
  ]);
});
