import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { buffer } from 'node:stream/consumers';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { ObjectRef, ObjectVersion } from '#libs/domain';
import type { CopyRequest, ObjectStore, WriteRequest } from '../object-store.js';
import { objectListContract } from './object-store-list.contract.js';
import { crc32cOf, freshKey } from './seed.js';
import type { MetadataOf, Put, SeedOptions } from './seed.js';

/** Environment of the contract suite. */
export interface ObjectStoreSetup {
  readonly store: ObjectStore;
  /** Two buckets without object versioning for the suite's exclusive use. */
  readonly bucket: string;
  readonly otherBucket: string;
  readonly put: Put;
  readonly metadataOf: MetadataOf;
  close?(): Promise<void>;
}

/** Contract suite for every {@link ObjectStore}. Call it at the top level of a spec file. */
export function objectStoreContract(name: string, setup: () => Promise<ObjectStoreSetup>): void {
  describe(`the object store contract: ${name}`, () => {
    let given: ObjectStoreSetup;
    beforeAll(async () => {
      given = await setup();
    });
    afterAll(() => given.close?.());

    const store = () => given.store;
    const absent = (): ObjectRef => ({ bucket: given.bucket, key: freshKey() });
    const seed = (
      bytes: Buffer | string,
      options: SeedOptions = { contentType: 'text/plain' },
      at = absent(),
    ) => given.put(at, Buffer.from(bytes), options);
    /** Writes an object twice and returns its old and its live version. */
    const replaced = async () => {
      const old = await seed('old');
      return { old, now: await seed('new', undefined, old) };
    };
    const bytesOf = async (object: ObjectVersion) => buffer(store().read(object));
    const bytesAt = async (object: ObjectRef) => {
      const now = await store().stat({ bucket: object.bucket, key: object.key });
      return now && (await bytesOf(now)).toString();
    };

    describe('stat', () => {
      it('returns the metadata of the live object and of its version', async () => {
        const bytes = randomBytes(70_000);
        const object = await seed(bytes, { contentType: 'image/png' });
        const now = await store().stat({ bucket: object.bucket, key: object.key });
        expect(now).toMatchObject({
          ...object,
          sizeBytes: 70_000,
          contentType: 'image/png',
          contentEncoding: null,
        });
        expect([crc32cOf(bytes), null]).toContain(now?.crc32c);
        expect(Math.abs(Date.now() - Number(now?.createdAt))).toBeLessThan(10 * 60_000);
        expect(await store().stat(object)).toEqual(now);
      });

      it('returns the Content-Encoding', async () => {
        const object = await seed(gzipSync('x'), { contentType: 'text/plain', contentEncoding: 'gzip' });
        expect(await store().stat(object)).toMatchObject({ contentEncoding: 'gzip' });
      });

      it('returns null for a missing object', async () => expect(await store().stat(absent())).toBeNull());

      it('returns null for a replaced version', async () => {
        const { old, now } = await replaced();
        expect(await store().stat(old)).toBeNull();
        expect(await store().stat(now)).toMatchObject(now);
      });

      it('rejects with the reason of an aborted signal', async () => {
        const reason = new Error('enough');
        await expect(store().stat(absent(), { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
      });
    });

    describe('read', () => {
      it.each([0, 1, 65_536, 3_000_001])('returns %d bytes as stored', async (size) => {
        const bytes = randomBytes(size);
        expect((await bytesOf(await seed(bytes))).equals(bytes)).toBe(true);
      });

      it('does not decompress gzip', async () => {
        const zipped = gzipSync('what is inside');
        const object = await seed(zipped, { contentType: 'text/plain', contentEncoding: 'gzip' });
        expect((await bytesOf(object)).equals(zipped)).toBe(true);
      });

      const notFound = { kind: 'not-found', reason: 'OBJECT_NOT_FOUND' };

      it('emits OBJECT_NOT_FOUND for a missing object', async () => {
        await expect(bytesOf({ ...absent(), version: '1' })).rejects.toMatchObject(notFound);
      });

      it('emits OBJECT_NOT_FOUND for a replaced version', async () => {
        const { old, now } = await replaced();
        await expect(bytesOf(old)).rejects.toMatchObject(notFound);
        expect(String(await bytesOf(now))).toBe('new');
      });

      it('is aborted by its signal without affecting another read', async () => {
        const bytes = randomBytes(8_000_000);
        const object = await seed(bytes);
        const controller = new AbortController();
        const aborted = store().read(object, { signal: controller.signal });
        const other = store().read(object);
        const failed = once(aborted, 'error');
        await Promise.all([once(aborted, 'readable'), once(other, 'readable')]);
        controller.abort();
        expect((await failed)[0]).toMatchObject({ name: 'AbortError' });
        expect((await buffer(other)).equals(bytes)).toBe(true);
      });
    });

    describe('copy', () => {
      const copyOf = (from: ObjectVersion, changes: Partial<CopyRequest> = {}): CopyRequest => ({
        from,
        to: { bucket: given.otherBucket, key: freshKey() },
        expect: 'absent',
        contentType: 'image/webp',
        ...changes,
      });

      it('copies the bytes and none of the metadata', async () => {
        const from = await seed(gzipSync('x'), { contentType: 'text/html', contentEncoding: 'gzip' });
        const request = copyOf(from, { cacheControl: 'private, max-age=60' });
        const result = await store().copy(request);
        if (result.outcome !== 'copied') throw new Error(result.outcome);
        expect(result.copy).toMatchObject({
          ...request.to,
          contentType: 'image/webp',
          contentEncoding: null,
        });
        expect(result.copy).toEqual(await store().stat(request.to));
        expect((await bytesOf(result.copy)).equals(await bytesOf(from))).toBe(true);
      });

      it('does not overwrite an unexpected object', async () => {
        const existing = await seed('existing');
        const request = copyOf(await seed('copy'), { to: existing });
        expect(await store().copy(request)).toEqual({ outcome: 'changed' });
        expect(await store().copy({ ...request, expect: { version: '1' } })).toEqual({ outcome: 'changed' });
        expect(await bytesAt(existing)).toBe('existing');
      });

      it('overwrites the expected version once', async () => {
        const existing = await seed('existing');
        const request = copyOf(await seed('copy'), { to: existing, expect: existing });
        expect(await store().copy(request)).toMatchObject({ outcome: 'copied' });
        expect(await store().copy(request)).toEqual({ outcome: 'changed' });
        expect(await bytesAt(existing)).toBe('copy');
      });

      it('does not write if the expected version is missing', async () => {
        const to = absent();
        const request = copyOf(await seed('copy'), { to, expect: { version: '1' } });
        expect(await store().copy(request)).toEqual({ outcome: 'changed' });
        expect(await store().stat(to)).toBeNull();
      });

      it('succeeds once among concurrent calls', async () => {
        const from = await seed('copy');
        const request = copyOf(from);
        const results = await Promise.all(Array.from({ length: 8 }, () => store().copy(request)));
        expect(results.map(({ outcome }) => outcome).sort()).toEqual([
          ...Array<string>(7).fill('changed'),
          'copied',
        ]);
      });

      it('reports a missing source', async () => {
        const { old } = await replaced();
        for (const from of [old, { ...absent(), version: '1' }]) {
          const request = copyOf(from);
          expect(await store().copy(request)).toEqual({ outcome: 'source-missing' });
          expect(await store().stat(request.to)).toBeNull();
        }
      });
    });

    describe('write', () => {
      const write = (changes: Partial<WriteRequest> = {}): WriteRequest => ({
        to: absent(),
        body: Buffer.from('written'),
        expect: 'absent',
        contentType: 'image/webp',
        ...changes,
      });

      it.each([0, 1, 8 * 2 ** 20])('stores %d bytes under a free key', async (size) => {
        const request = write({ body: randomBytes(size), cacheControl: 'private, max-age=60' });
        const result = await store().write(request);
        if (result.outcome !== 'written') throw new Error(result.outcome);
        expect(result.object).toMatchObject({
          ...request.to,
          sizeBytes: size,
          contentType: 'image/webp',
          contentEncoding: null,
        });
        expect([crc32cOf(request.body), null]).toContain(result.object.crc32c);
        expect(result.object).toEqual(await store().stat(request.to));
        expect((await bytesOf(result.object)).equals(request.body)).toBe(true);
      });

      it('stores the given type and cache control and no other metadata', async () => {
        const request = write({ cacheControl: 'private, max-age=60' });
        await store().write(request);
        expect(await given.metadataOf(request.to)).toEqual({
          contentType: 'image/webp',
          cacheControl: 'private, max-age=60',
        });
        const plain = write();
        await store().write(plain);
        expect(await given.metadataOf(plain.to)).toEqual({ contentType: 'image/webp' });
      });

      it('does not overwrite an unexpected object', async () => {
        const existing = await seed('existing');
        const request = write({ to: existing });
        expect(await store().write(request)).toEqual({ outcome: 'changed' });
        expect(await store().write({ ...request, expect: { version: '1' } })).toEqual({ outcome: 'changed' });
        expect(await bytesAt(existing)).toBe('existing');
      });

      it('overwrites the expected version once and discards its metadata', async () => {
        const existing = await seed(gzipSync('x'), { contentType: 'text/plain', contentEncoding: 'gzip' });
        const request = write({ to: existing, expect: existing });
        expect(await store().write(request)).toMatchObject({ outcome: 'written' });
        expect(await store().write(request)).toEqual({ outcome: 'changed' });
        expect(await bytesAt(existing)).toBe('written');
        expect(await given.metadataOf(existing)).toEqual({ contentType: 'image/webp' });
      });

      it('does not write if the expected version is missing', async () => {
        const request = write({ expect: { version: '1' } });
        expect(await store().write(request)).toEqual({ outcome: 'changed' });
        expect(await store().stat(request.to)).toBeNull();
      });

      it('succeeds once among concurrent calls', async () => {
        const to = absent();
        const bodies = Array.from({ length: 8 }, (_, index) => Buffer.from(`writer ${index}`));
        const results = await Promise.all(bodies.map((body) => store().write(write({ to, body }))));
        const [winner, ...others] = results.flatMap(({ outcome }, i) => (outcome === 'written' ? [i] : []));
        expect(others).toEqual([]);
        expect(await bytesAt(to)).toBe(`writer ${winner}`);
      });

      it('writes nothing if the signal has aborted', async () => {
        const request = write();
        const reason = new Error('enough');
        const failure = store().write(request, { signal: AbortSignal.abort(reason) });
        await expect(failure).rejects.toBe(reason);
        expect(await store().stat(request.to)).toBeNull();
      });
    });

    describe('delete', () => {
      it('deletes once', async () => {
        const object = await seed('x');
        expect(await store().delete(object)).toBe(true);
        expect(await store().stat({ bucket: object.bucket, key: object.key })).toBeNull();
        expect(await store().delete(object)).toBe(false);
      });

      it('touches no other version', async () => {
        const { old, now } = await replaced();
        expect(await store().delete(old)).toBe(false);
        expect(await store().stat(now)).toMatchObject(now);
      });
    });

    objectListContract(() => given);
  });
}
