import { randomUUID } from 'node:crypto';
import { gzipSync } from 'node:zlib';
import { beforeAll, describe, expect, it } from '@jest/globals';
import type { ListRange } from '../object-store.js';
import type { ObjectStoreSetup } from './object-store.contract.js';
import { freshKey } from './seed.js';

/**
 * Names in the order of their UTF-8 bytes. Other orders differ: by UTF-16 (`😀` before `Ａ`), by language (`é` before
 * `z`), by ignoring case, or by path segments (`a/b` before `a!`).
 */
const NAMES = [
  'B',
  'a',
  'a!',
  'a/',
  'a/b',
  'a/b/c',
  'a0',
  'images',
  'images/1',
  'images/10',
  'images/2',
  'images2/1',
  'z',
  'é',
  'Ａ',
  '😀',
];

/** Part of the contract of every object store: `list`. */
export function objectListContract(given: () => ObjectStoreSetup): void {
  describe('list', () => {
    /** A prefix for the objects of one test, with characters that some encoding treats wrongly. */
    const freshPrefix = () => `${freshKey()}/${randomUUID()}/`;
    const seed = async (key: string, bytes = 'x') =>
      given().put({ bucket: given().bucket, key }, Buffer.from(bytes), { contentType: 'text/plain' });
    const list = (range: Partial<ListRange>, limit = 100) =>
      given().store.list({ bucket: given().bucket, ...range }, limit);

    describe('of several objects', () => {
      const prefix = freshPrefix();
      const keys = NAMES.map((name) => prefix + name);
      beforeAll(async () => {
        // Not in order, so that the order is not that of creation.
        for (const key of keys.toReversed()) await seed(key);
      });

      /** Lists the names below the prefix of this suite. */
      const names = async (
        { prefix: below = '', after }: { prefix?: string; after?: string },
        limit?: number,
      ) => {
        const start = after === undefined ? {} : { after: prefix + after };
        const page = await list({ prefix: prefix + below, ...start }, limit);
        return page.map(({ key }) => key.slice(prefix.length));
      };

      it('sorts by the UTF-8 bytes of the keys', async () => {
        expect(await names({})).toEqual(NAMES);
        expect(NAMES).toEqual(NAMES.toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b))));
      });

      it.each([1, 3, 4, 15, 16, 17])('lists every object once in pages of %i', async (limit) => {
        const pages: string[][] = [];
        let after: string | undefined;
        do {
          const page = await names({ after }, limit);
          pages.push(page);
          after = page.length < limit ? undefined : page.at(-1);
        } while (after !== undefined);
        expect(pages.flat()).toEqual(NAMES);
        const full = Math.floor(NAMES.length / limit);
        expect(pages.map(({ length }) => length)).toEqual([
          ...Array<number>(full).fill(limit),
          NAMES.length % limit,
        ]);
      });

      it.each(NAMES.map((name, index) => [name, index] as const))('begins after %j', async (after, index) => {
        expect(await names({ after })).toEqual(NAMES.slice(index + 1));
        expect(await names({ after }, 1)).toEqual(NAMES.slice(index + 1, index + 2));
      });

      it.each([
        ['A', 'B'],
        ['a ', 'a!'],
        ['a//', 'a/b'],
        ['images/1/', 'images/10'],
        ['zz', 'é'],
        ['ｚ', '😀'],
      ])('begins after the missing key %j', async (after, first) => {
        expect(await names({ after })).toEqual(NAMES.slice(NAMES.indexOf(first)));
      });

      it('returns an empty page after the last object', async () => {
        expect(await names({ after: '😀' })).toEqual([]);
        expect(await names({ after: '😀😀' })).toEqual([]);
      });

      it.each([
        ['images/', ['images/1', 'images/10', 'images/2']],
        ['images/1', ['images/1', 'images/10']],
        ['images', ['images', 'images/1', 'images/10', 'images/2', 'images2/1']],
        ['a/', ['a/', 'a/b', 'a/b/c']],
        ['a/b', ['a/b', 'a/b/c']],
        ['b', []],
        ['é', ['é']],
        ['😀', ['😀']],
      ])('lists below the prefix %j and nothing else', async (below, expected) => {
        expect(await names({ prefix: below })).toEqual(expected);
      });

      it.each([
        ['images/', 'images/1', ['images/10', 'images/2']],
        ['images/', 'images/15', ['images/2']],
        ['images/', 'a', ['images/1', 'images/10', 'images/2']],
        ['images/', 'images/2', []],
        ['images/', 'images2/1', []],
      ])('lists below the prefix %j after %j', async (below, after, expected) => {
        expect(await names({ prefix: below, after })).toEqual(expected);
      });

      it('returns the metadata that stat returns', async () => {
        const page = await list({ prefix });
        expect(page).toEqual(
          await Promise.all(page.map(({ bucket, key }) => given().store.stat({ bucket, key }))),
        );
      });
    });

    it('returns type, encoding and size of each object', async () => {
      const [prefix, bytes] = [freshPrefix(), gzipSync('x')];
      const at = (name: string) => ({ bucket: given().bucket, key: prefix + name });
      const zipped = await given().put(at('a'), bytes, {
        contentType: 'text/plain',
        contentEncoding: 'gzip',
      });
      const empty = await given().put(at('b'), Buffer.alloc(0), { contentType: 'image/png' });
      const page = await list({ prefix });
      expect(page).toMatchObject([
        { ...zipped, contentType: 'text/plain', contentEncoding: 'gzip', sizeBytes: bytes.length },
        { ...empty, contentType: 'image/png', contentEncoding: null, sizeBytes: 0 },
      ]);
      expect(page).toEqual([await given().store.stat(zipped), await given().store.stat(empty)]);
    });

    it('lists a replaced object once, at its live version, and no deleted object', async () => {
      const prefix = freshPrefix();
      await seed(`${prefix}replaced`, 'old');
      const live = await seed(`${prefix}replaced`, 'newer');
      const deleted = await seed(`${prefix}deleted`);
      const kept = await seed(`${prefix}kept`);
      expect(await given().store.delete(deleted)).toBe(true);
      expect(await list({ prefix })).toMatchObject([kept, { ...live, sizeBytes: 5 }]);
    });

    it('lists the objects of one bucket only', async () => {
      const key = `${freshPrefix()}a`;
      await given().put({ bucket: given().otherBucket, key }, Buffer.from('x'), { contentType: 'a/b' });
      const page = await given().store.list({ bucket: given().otherBucket, prefix: key }, 10);
      expect(page).toMatchObject([{ bucket: given().otherBucket, key }]);
      if (given().bucket !== given().otherBucket) expect(await list({ prefix: key })).toEqual([]);
    });

    it('returns an empty page if no object has the prefix', async () => {
      expect(await list({ prefix: freshPrefix() })).toEqual([]);
    });

    it('is unavailable if the bucket is missing', async () => {
      const missing = list({ bucket: `missing-${randomUUID()}` });
      await expect(missing).rejects.toMatchObject({ kind: 'unavailable', reason: 'STORAGE_UNAVAILABLE' });
    });

    it.each([0, -1, 1.5, NaN])('rejects the limit %d', async (limit) => {
      await expect(list({}, limit)).rejects.toThrow(RangeError);
    });

    it('rejects with the reason of an aborted signal', async () => {
      const reason = new Error('enough');
      const options = { signal: AbortSignal.abort(reason) };
      await expect(given().store.list({ bucket: given().bucket }, 1, options)).rejects.toBe(reason);
    });
  });
}
