import { createHash, randomBytes } from 'node:crypto';
import { readdir } from 'node:fs/promises';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { Bucket, FileMetadata } from '@google-cloud/storage';
import type { DamageControl } from '../../../libs/gcp-emulator/src/gcs/index.js';
import { ask, damageOverHttp } from './gcs-admin.client.js';
import { Harness, until } from './gcs.harness.js';

// Real: the emulator, its disk, the official client. Pub/Sub is a list of published events.
let harness: Harness;
let bucket: Bucket;
let events: string[];
let errors: unknown[];

const OBJECT = { bucket: 'damaged', key: 'content/ä b' };
const COPY = { bucket: 'damaged', key: 'copy' };
const MISSING = { bucket: 'damaged', key: 'missing' };

beforeEach(async () => {
  events = [];
  errors = [];
  harness = await Harness.start({
    admin: true,
    publish: (_, { attributes }) => {
      events.push(`${attributes.eventType} ${attributes.objectId}`);
      return Promise.resolve();
    },
    onError: (error) => errors.push(error),
  });
  [bucket] = await harness.storage.createBucket('damaged', { storageClass: 'NEARLINE' });
});
afterEach(async () => {
  expect(errors).toEqual([]);
  await harness.stop();
});

const fileOf = ({ key }: { key: string }) => bucket.file(key);
const metadataOf = async (object = OBJECT) => (await fileOf(object).getMetadata())[0];
const save = async (bytes: Buffer, object = OBJECT) => {
  await fileOf(object).save(bytes, { resumable: false, contentType: 'image/png', gzip: false });
  return metadataOf(object);
};
const bytesAt = async (object = OBJECT) => (await fileOf(object).download({ validation: false }))[0];
const md5 = (bytes: Buffer) => createHash('md5').update(bytes).digest('base64');

/** The given fields, which damage must leave as they were. */
const fields = (metadata: FileMetadata, ...names: (keyof FileMetadata)[]) =>
  Object.fromEntries(names.map((name) => [name, metadata[name]]));
const VERSION = ['generation', 'metageneration', 'crc32c', 'md5Hash', 'timeCreated', 'updated'] as const;

const flippedAt = (bytes: Buffer, offset: number) => {
  const changed = Buffer.from(bytes);
  changed.writeUInt8(bytes.readUInt8(offset) ^ 0xff, offset);
  return changed;
};

/** The number of files that hold objects. */
const filesOfObjects = async () =>
  (await readdir(path.join(harness.dataDir, 'objects'), { recursive: true, withFileTypes: true })).filter(
    (entry) => entry.isFile(),
  ).length;

describe.each<[string, () => DamageControl]>([
  ['in the process', () => harness.emulator.damage],
  ['over HTTP', () => damageOverHttp(harness.emulator.url)],
])('damage %s', (_, control) => {
  it.each<[string, number, number | undefined, number]>([
    ['the first', 10, 0, 0],
    ['the last', 10, 9, 9],
    ['by default the middle', 5, undefined, 2],
    ['one beyond the first chunk of the file', 2_500_000, 1_048_576, 1_048_576],
  ])('flips a byte, %s, and keeps size, version and checksums', async (__, size, offset, expected) => {
    const bytes = randomBytes(size);
    const before = await save(bytes);
    await control().flipByte(OBJECT, offset);
    const after = await metadataOf();
    expect(fields(after, ...VERSION, 'size')).toEqual(fields(before, ...VERSION, 'size'));
    expect((await bytesAt()).equals(flippedAt(bytes, expected))).toBe(true);
  });

  it.each([0, 7])(
    'truncates to %i bytes with the new size and the old version and checksums',
    async (size) => {
      const bytes = randomBytes(10);
      const before = await save(bytes);
      await control().truncate(OBJECT, size);
      const after = await metadataOf();
      expect(fields(after, ...VERSION)).toEqual(fields(before, ...VERSION));
      expect(after.size).toBe(String(size));
      expect(await bytesAt()).toEqual(bytes.subarray(0, size));
    },
  );

  it('leaves the copy of a damaged object alone, and the original of a damaged copy', async () => {
    const bytes = Buffer.from('shared bytes');
    await save(bytes);
    await fileOf(OBJECT).copy(fileOf(COPY));
    await control().flipByte(OBJECT, 0);
    expect(await bytesAt(COPY)).toEqual(bytes);
    await control().truncate(COPY, 3);
    expect(await bytesAt()).toEqual(flippedAt(bytes, 0));
    await control().drop(OBJECT);
    expect(await bytesAt(COPY)).toEqual(bytes.subarray(0, 3));
  });

  it('keeps no file of the undamaged bytes', async () => {
    await save(Buffer.from('bytes'));
    await control().flipByte(OBJECT);
    await control().truncate(OBJECT, 2);
    await control().replace(OBJECT, Buffer.from('other'));
    await control().put(OBJECT, Buffer.from('again'));
    await until(async () => (await filesOfObjects()) === 1);
    await control().drop(OBJECT);
    expect(await filesOfObjects()).toBe(0);
  });

  it('drops an object', async () => {
    await save(Buffer.from('bytes'));
    await control().drop(OBJECT);
    expect(await fileOf(OBJECT).exists()).toEqual([false]);
  });

  it('replaces bytes by a new version with matching checksums and equal metadata', async () => {
    const before = await save(Buffer.from('bytes'));
    const bytes = Buffer.alloc(24, 'stranger');
    const { version } = await control().replace(OBJECT, bytes);
    const after = await metadataOf();
    expect(after).toMatchObject({
      generation: version,
      size: String(bytes.length),
      md5Hash: md5(bytes),
      contentType: 'image/png',
    });
    expect(Number(version)).toBeGreaterThan(Number(before.generation));
    expect((await fileOf(OBJECT).download())[0]).toEqual(bytes);
    // The caller's bytes are still there.
    expect(bytes).toEqual(Buffer.alloc(24, 'stranger'));
  });

  it('changes metadata and the metageneration only', async () => {
    const bytes = Buffer.from('bytes');
    const before = await save(bytes);
    await control().setMetadata(OBJECT, { contentType: 'text/html', contentEncoding: 'br' });
    const after = await metadataOf();
    const kept = ['generation', 'crc32c', 'md5Hash', 'size', 'timeCreated', 'storageClass'] as const;
    expect(fields(after, ...kept)).toEqual(fields(before, ...kept));
    expect(fields(after, 'contentType', 'contentEncoding', 'metageneration')).toEqual({
      contentType: 'text/html',
      contentEncoding: 'br',
      metageneration: '2',
    });
    await control().setMetadata(OBJECT, { contentEncoding: null });
    expect(await metadataOf()).not.toHaveProperty('contentEncoding');
    expect(await bytesAt()).toEqual(bytes);
  });

  it('stores an object as if it had been uploaded in the past', async () => {
    const createdAt = new Date('2020-02-29T12:00:00Z');
    const [before, bytes] = [await save(Buffer.from('newer')), Buffer.from('old bytes')];
    const metadata = { contentType: 'image/webp', metadata: { owner: 'nobody' } };
    const { version } = await control().put(OBJECT, bytes, { createdAt, metadata });
    expect(await metadataOf()).toMatchObject({
      ...metadata,
      generation: version,
      metageneration: '1',
      timeCreated: createdAt.toISOString(),
      updated: createdAt.toISOString(),
      storageClass: 'NEARLINE',
      md5Hash: md5(bytes),
    });
    expect(Number(version)).toBeGreaterThan(Number(before.generation));
    expect((await fileOf(OBJECT).download())[0]).toEqual(bytes);
    await control().put(COPY, Buffer.alloc(0));
    expect((await metadataOf(COPY)).size).toBe('0');
  });

  it('publishes no event', async () => {
    await bucket.createNotification('projects/test/topics/all');
    await save(Buffer.from('bytes'));
    await control().flipByte(OBJECT);
    await control().truncate(OBJECT, 2);
    await control().setMetadata(OBJECT, { contentType: 'text/html' });
    await control().replace(OBJECT, Buffer.from('other'));
    await control().put(OBJECT, Buffer.from('again'));
    await control().drop(OBJECT);
    await save(Buffer.from('last'), COPY);
    await until(() => events.includes(`OBJECT_FINALIZE ${COPY.key}`));
    expect(events).toEqual([`OBJECT_FINALIZE ${OBJECT.key}`, `OBJECT_FINALIZE ${COPY.key}`]);
  });

  it('survives a restart', async () => {
    const bytes = Buffer.from('bytes');
    await save(bytes);
    await control().flipByte(OBJECT, 1);
    await harness.restart();
    bucket = harness.storage.bucket('damaged');
    expect(await bytesAt()).toEqual(flippedAt(bytes, 1));
  });

  it.each<[string, number, (damage: DamageControl) => Promise<unknown>]>([
    ['a missing object', 404, (damage) => damage.flipByte(MISSING)],
    ['a missing object that is truncated', 404, (damage) => damage.truncate(MISSING, 1)],
    ['a missing object that is dropped', 404, (damage) => damage.drop(MISSING)],
    ['a missing object that is replaced', 404, (damage) => damage.replace(MISSING, Buffer.from('x'))],
    ['the metadata of a missing object', 404, (damage) => damage.setMetadata(MISSING, {})],
    ['a missing bucket', 404, (damage) => damage.put({ bucket: 'none', key: 'a' }, Buffer.from('x'))],
    ['an invalid key', 400, (damage) => damage.put({ bucket: 'damaged', key: '..' }, Buffer.from('x'))],
    ['invalid metadata', 400, (damage) => damage.setMetadata(OBJECT, { contentType: 5 })],
    [
      'invalid metadata of a new object',
      400,
      (damage) => damage.put(COPY, Buffer.from('x'), { metadata: { contentType: 5 } }),
    ],
    ['a byte after the last', 400, (damage) => damage.flipByte(OBJECT, 5)],
    ['a negative offset', 400, (damage) => damage.flipByte(OBJECT, -1)],
    ['a size that is not smaller', 400, (damage) => damage.truncate(OBJECT, 5)],
    ['a negative size', 400, (damage) => damage.truncate(OBJECT, -1)],
  ])('rejects %s and changes nothing', async (__, status, call) => {
    const bytes = Buffer.from('bytes');
    const before = await save(bytes);
    await expect(call(control())).rejects.toMatchObject({ status });
    expect(await metadataOf()).toEqual(before);
    expect(await bytesAt()).toEqual(bytes);
    expect(await filesOfObjects()).toBe(1);
  });
});

describe('damage in the process', () => {
  it('lets a running download finish with the bytes that it began with', async () => {
    const bytes = randomBytes(4_000_000);
    await save(bytes);
    const response = await fetch(
      `${harness.emulator.url}/storage/v1/b/damaged/o/${encodeURIComponent(OBJECT.key)}?alt=media`,
    );
    await harness.emulator.damage.flipByte(OBJECT);
    await harness.emulator.damage.drop(OBJECT);
    expect(Buffer.from(await response.arrayBuffer()).equals(bytes)).toBe(true);
  });

  it('rejects the second of two changes of one version, and keeps no file of it', async () => {
    const { damage } = harness.emulator;
    await save(Buffer.from('bytes'));
    const results = await Promise.allSettled([damage.flipByte(OBJECT, 0), damage.flipByte(OBJECT, 1)]);
    expect(results.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
    expect(results).toContainEqual(
      expect.objectContaining({ reason: expect.objectContaining({ status: 409 }) as unknown }),
    );
    expect(await filesOfObjects()).toBe(1);
  });
});

describe('damage over HTTP: a request', () => {
  const send = (kind: string, body: object) => ask(harness.emulator.url, 'POST', `damage/${kind}`, body);

  it.each<[string, string, object, number]>([
    ['an unknown kind', 'explode', OBJECT, 404],
    ['the name of a built-in property as its kind', 'constructor', OBJECT, 404],
    ['no key', 'drop', { bucket: 'damaged' }, 400],
    ['an unknown field', 'drop', { ...OBJECT, offset: 1 }, 400],
    ['an offset that is text', 'flip-byte', { ...OBJECT, offset: '1' }, 400],
    ['no size', 'truncate', OBJECT, 400],
    ['data that is not base64', 'replace', { ...OBJECT, data: 'a' }, 400],
    ['no metadata', 'metadata', OBJECT, 400],
    ['an invalid time', 'put', { ...OBJECT, data: '', createdAt: 'yesterday' }, 400],
  ])('with %s is rejected', async (_, kind, body, status) => {
    const before = await save(Buffer.from('bytes'));
    await expect(send(kind, body)).rejects.toMatchObject({ status });
    expect(await metadataOf()).toEqual(before);
  });

  it('is rejected when the admin API is off', async () => {
    await save(Buffer.from('bytes'));
    await harness.restart({});
    await expect(send('drop', OBJECT)).rejects.toMatchObject({ status: 403 });
    await expect(ask(harness.emulator.url, 'GET', 'clock')).rejects.toMatchObject({ status: 403 });
    expect(await harness.storage.bucket('damaged').file(OBJECT.key).exists()).toEqual([true]);
  });
});
