import { gunzipSync, gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { contentKey } from '#libs/domain';
import { actor, CONTENT, INCOMING, sha256, World } from '../../../libs/testing/src/world.js';

const PNG = Buffer.from(
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg==',
  'base64',
);

/** A gzip file padded to `length` bytes by a header field that decoders skip (RFC 1952, FEXTRA). */
function gzipOfLength(plain: Buffer, length: number): Buffer {
  const packed = gzipSync(plain);
  const extra = Buffer.alloc(length - packed.length);
  extra.writeUInt16LE(extra.length - 2);
  packed[3] = 4;
  return Buffer.concat([packed.subarray(0, 10), extra, packed.subarray(10)]);
}

describe('processing (real: PostgreSQL, storage emulator)', () => {
  let world: World;
  beforeAll(async () => {
    world = await World.start();
  });
  afterAll(() => world[Symbol.asyncDispose]());

  it('makes a matching upload READY and deletes its incoming object', async () => {
    const by = actor(1n);
    const asset = await world.upload('hello', { mimeType: 'text/csv' }, by);
    expect(asset).toMatchObject({
      status: 'READY',
      mimeType: 'text/csv',
      bucket: CONTENT,
      objectKey: contentKey(sha256('hello')),
    });
    expect(await world.objects(INCOMING)).toEqual([]);
    expect(await world.quotas.of(1n)).toMatchObject({
      reservedBytes: 0,
      reservedAssets: 0,
      usedBytes: 5,
      usedAssets: 1,
    });
    expect(await world.events(asset.id)).toEqual(['asset.requested', 'asset.received', 'asset.ready']);
    const [metadata] = await world.emulators.client.bucket(CONTENT).file(asset.objectKey).getMetadata();
    expect(metadata).toMatchObject({ contentType: 'application/octet-stream', size: '5' });
  });

  it.each([
    ['it is declared as one', { mimeType: 'image/png' }],
    ['its first bytes show one', { mimeType: 'application/octet-stream' }],
  ])('leaves an image to the inspection queue when %s', async (_what, declared) => {
    const by = actor(BigInt(70 + declared.mimeType.length));
    const { id, job } = await world.received(PNG, declared, by);
    const inspect = jest.spyOn(world.inspector, 'inspect');
    const { signal } = new AbortController();
    expect(await world.processing.processUninspected(job, signal)).toBe(false);
    expect(inspect).not.toHaveBeenCalled();
    inspect.mockRestore();
    expect(await world.asset(id)).toMatchObject({ status: 'PROCESSING', version: 1 });
    await world.process(job);
    expect(await world.asset(id)).toMatchObject({ status: 'READY', mimeType: 'image/png' });
  });

  it('processes a file that needs no reader without disk space', async () => {
    const { id, job } = await world.received('no picture', {}, actor(69n));
    expect(await world.processing.processUninspected(job, new AbortController().signal)).toBe(true);
    expect(await world.asset(id)).toMatchObject({ status: 'READY' });
  });

  it.each([
    ['other bytes of equal length', { sent: 'hellO' }, 'CHECKSUM_MISMATCH'],
    [
      'HTML declared as an image',
      { bytes: '<!doctype html><script>1</script>', mimeType: 'image/png' },
      'TYPE_MISMATCH',
    ],
    ['an image declared as text', { bytes: PNG, mimeType: 'text/plain' }, 'TYPE_MISMATCH'],
    [
      'SVG declared as JPEG',
      { bytes: '<svg xmlns="http://www.w3.org/2000/svg"/>', mimeType: 'image/jpeg' },
      'TYPE_MISMATCH',
    ],
  ])(
    'rejects %s',
    async (
      _,
      {
        bytes = 'hello',
        sent = bytes,
        mimeType = 'text/plain',
      }: { bytes?: string | Buffer; sent?: string | Buffer; mimeType?: string },
      code,
    ) => {
      const by = actor(2n);
      const { id, job } = await world.received(bytes, { mimeType }, by, sent);
      await world.process(job);
      expect(await world.asset(id)).toMatchObject({
        status: 'REJECTED',
        statusReason: { code },
        bucket: INCOMING,
      });
      expect(await world.objects(INCOMING)).toEqual([]);
      expect(await world.quotas.of(2n)).toMatchObject({
        reservedBytes: 0,
        usedBytes: 0,
        reservedAssets: 0,
        usedAssets: 0,
      });
    },
  );

  it('rejects bytes with a Content-Encoding, even if the decompressed bytes match the declaration', async () => {
    const plain = Buffer.alloc(1000, 'the declared bytes ');
    const disguised = gzipOfLength(plain, plain.length);
    expect([gunzipSync(disguised).equals(plain), disguised.length]).toEqual([true, plain.length]);
    for (const [contentEncoding, message] of [
      ['gzip', 'The bytes were sent with a Content-Encoding. Send them without it.'],
      [undefined, 'The SHA-256 of the bytes is not the declared one.'],
    ]) {
      const { id } = await world.request(plain, {}, actor(3n));
      const metadata = { contentType: 'text/plain', contentEncoding };
      await world.emulators.put({ bucket: INCOMING, key: id }, disguised, metadata);
      await world.completion.checkObject(id);
      await world.process(await world.job(id));
      expect(await world.asset(id)).toMatchObject({
        status: 'REJECTED',
        statusReason: { code: 'CHECKSUM_MISMATCH', message },
      });
    }

    const packed = gzipSync(plain);
    const other = await world.request(packed, { mimeType: 'application/octet-stream' }, actor(3n));
    await world.emulators.put({ bucket: INCOMING, key: other.id }, packed, {
      contentType: 'text/plain',
      contentEncoding: 'gzip',
    });
    await world.completion.checkObject(other.id);
    await world.process(await world.job(other.id));
    expect(await world.asset(other.id)).toMatchObject({
      status: 'REJECTED',
      statusReason: { code: 'CHECKSUM_MISMATCH' },
    });
  });

  it('rejects a resumable upload whose CRC32C differs from the declared one, unchecked by storage', async () => {
    const { id } = await world.request('in pieces', { method: 'RESUMABLE', crc32c: 'AAAAAA==' }, actor(4n));
    await world.emulators.put({ bucket: INCOMING, key: id }, Buffer.from('in pieces'), {
      contentType: 'text/plain',
    });
    await world.completion.checkObject(id);
    await world.process(await world.job(id));
    expect(await world.asset(id)).toMatchObject({
      status: 'REJECTED',
      statusReason: { code: 'CHECKSUM_MISMATCH', message: expect.stringContaining('CRC32C') as unknown },
    });
  });

  it('never combines the checksum of one generation with the bytes of another', async () => {
    const { id, job } = await world.received('the claimed bytes', {}, actor(18n));
    await world.emulators.put({ bucket: INCOMING, key: id }, Buffer.from('the other  bytes'), {
      contentType: 'text/plain',
    });
    await world.process(job);
    expect(await world.asset(id)).toMatchObject({ status: 'FAILED' });
    expect(
      await world.store.stat({ bucket: CONTENT, key: contentKey(sha256('the claimed bytes')) }),
    ).toBeNull();
  });

  it('adds a reference only to an object that accepts references', async () => {
    const bytes = 'reference counted';
    await world.upload(bytes, {}, actor(19n));
    const [stored] = (await world.storedObjects()).filter(({ sha256: sum }) => sum === sha256(bytes));
    const facts = { scannedBy: 'a scanner', variantSpecs: null, variantsReason: null, now: new Date() };
    const add = () => world.database.transaction((tx) => world.stored.addReference(tx, stored!.id, facts));
    for (const state of ['DELETING', 'QUARANTINED', 'CORRUPT'] as const) {
      // A CORRUPT object with a recorded copy was restored and would accept the reference.
      await world.database.prisma.objectCopy.updateMany({
        where: { storedObjectId: stored!.id },
        data: { version: null },
      });
      await world.database.prisma.storedObject.update({ where: { id: stored!.id }, data: { state } });
      expect(await add()).toBe(false);
    }
    const [after] = (await world.storedObjects()).filter(({ sha256: sum }) => sum === sha256(bytes));
    expect(after).toMatchObject({ refCount: 1, state: 'CORRUPT' });
  });

  it('refuses a transition from an outdated version', async () => {
    const { id } = await world.received('versioned', {}, actor(20n));
    const outdated = await world.asset(id);
    expect(await world.transitions.retry(outdated, new Date())).toBe(true);
    expect(await world.transitions.reject(outdated, { code: 'MALWARE', message: '' }, new Date())).toBe(
      false,
    );
    expect(await world.transitions.retry(outdated, new Date())).toBe(false);
    expect(await world.asset(id)).toMatchObject({ status: 'PROCESSING', attempt: 2 });
  });

  it('requires the bytes whether or not another owner has uploaded them', async () => {
    await world.upload('known to the service', {}, actor(21n));
    const [known, fresh] = await Promise.all([
      world.request('known to the service', {}, actor(22n)),
      world.request('new to the service!!', {}, actor(22n)),
    ]);
    for (const { asset, ticket } of [known, fresh]) {
      expect(asset).toMatchObject({ status: 'PENDING', bucket: INCOMING });
      expect(ticket).not.toBeNull();
    }
  });

  it('accepts an empty file', async () => {
    expect(await world.upload('', {}, actor(4n))).toMatchObject({ status: 'READY', sizeBytes: 0 });
  });

  it('stores identical files once and counts their references', async () => {
    const bytes = 'shared by three';
    const received = await Promise.all([5n, 6n, 7n].map((owner) => world.received(bytes, {}, actor(owner))));
    await Promise.all(received.map(({ job }) => world.process(job)));
    for (const { id } of received) expect(await world.asset(id)).toMatchObject({ status: 'READY' });
    const stored = (await world.storedObjects()).filter(({ sha256: sum }) => sum === sha256(bytes));
    expect(stored).toMatchObject([{ refCount: 3, state: 'LIVE' }]);
    const copy = await world.store.stat({ bucket: CONTENT, key: contentKey(sha256(bytes)) });
    expect(stored[0]!.copies).toMatchObject([{ version: copy!.version, storageClass: 'STANDARD' }]);
  });

  it('applies each effect once when one job runs five times at once and again afterwards', async () => {
    const by = actor(8n);
    const { id, job } = await world.received('only once', {}, by);
    await Promise.all(Array.from({ length: 5 }, () => world.process(job)));
    await world.process(job);
    expect(await world.asset(id)).toMatchObject({ status: 'READY' });
    const stored = (await world.storedObjects()).filter(({ sha256: sum }) => sum === sha256('only once'));
    expect(stored).toMatchObject([{ refCount: 1 }]);
    expect(await world.quotas.of(8n)).toMatchObject({
      usedAssets: 1,
      usedBytes: 9,
      reservedAssets: 0,
      reservedBytes: 0,
    });
    expect(await world.events(id)).toEqual(['asset.requested', 'asset.received', 'asset.ready']);
  });

  it('overwrites an object that no row records', async () => {
    const bytes = 'the real bytes';
    const location = { bucket: CONTENT, key: contentKey(sha256(bytes)) };
    const planted = await world.emulators.put(location, Buffer.from('not these bytes'), {
      contentType: 'text/plain',
    });
    const asset = await world.upload(bytes, {}, actor(9n));
    expect(asset.status).toBe('READY');
    const copy = await world.store.stat(location);
    expect(copy!.version).not.toBe(planted.version);
    expect(copy!.sizeBytes).toBe(bytes.length);
  });

  it('restores a stored object that was lost', async () => {
    const bytes = 'lost and found';
    await world.upload(bytes, {}, actor(10n));
    const location = { bucket: CONTENT, key: contentKey(sha256(bytes)) };
    await world.store.delete({ ...location, version: (await world.store.stat(location))!.version });
    await world.upload(bytes, {}, actor(11n));
    const [stored] = (await world.storedObjects()).filter(({ sha256: sum }) => sum === sha256(bytes));
    expect(stored!.copies[0]!.version).toBe((await world.store.stat(location))!.version);
    expect(stored!.refCount).toBe(2);
  });

  it('waits while the collector deletes the object to be shared', async () => {
    const bytes = 'being collected';
    await world.upload(bytes, {}, actor(12n));
    const where = { scope_sha256: { scope: '', sha256: sha256(bytes) } };
    await world.database.prisma.storedObject.update({ where, data: { state: 'DELETING' } });
    const { id, job } = await world.received(bytes, {}, actor(13n));
    await expect(world.process(job)).rejects.toMatchObject({ kind: 'unavailable' });
    expect(await world.asset(id)).toMatchObject({ status: 'PROCESSING', attempt: 1 });
    await world.database.prisma.storedObject.update({ where, data: { state: 'LIVE' } });
    await world.process(job);
    expect(await world.asset(id)).toMatchObject({ status: 'READY' });
  });

  it('releases a job when the worker stops, without using up an attempt', async () => {
    const { id, job } = await world.received('interrupted', {}, actor(14n));
    await expect(world.process(job, AbortSignal.abort(new Error('stopping')))).rejects.toThrow();
    expect(await world.asset(id)).toMatchObject({ status: 'PROCESSING', attempt: 1 });
    await world.process(job);
    expect(await world.asset(id)).toMatchObject({ status: 'READY' });
  });

  it('fails an asset whose claimed bytes are gone', async () => {
    const { id, job } = await world.received('vanished', {}, actor(15n));
    await world.incoming.delete(id, job.generation);
    await world.process(job);
    expect(await world.asset(id)).toMatchObject({
      status: 'FAILED',
      statusReason: { code: 'PROCESSING_FAILED' },
    });
    expect(await world.quotas.of(15n)).toMatchObject({ reservedAssets: 1 });
  });

  it('ignores a job of another generation or attempt', async () => {
    const { id, job } = await world.received('stale jobs', {}, actor(16n));
    await world.process({ ...job, generation: '1' });
    await world.process({ ...job, attempt: 2 });
    expect(await world.asset(id)).toMatchObject({ status: 'PROCESSING', attempt: 1 });
  });

  it('fails the asset of a job that kills its worker, after five attempts', async () => {
    const { id } = await world.received('poison', {}, actor(17n));
    for (let attempt = 1; attempt <= 5; attempt++) {
      expect(await world.asset(id)).toMatchObject({ status: 'PROCESSING', attempt });
      await world.processing.crashed(await world.job(id), 3);
    }
    expect(await world.asset(id)).toMatchObject({ status: 'FAILED' });
    const [letter] = await world.deadLetters.list('OPEN', undefined, 10);
    expect(letter).toMatchObject({ assetId: id, attempts: 5, source: 'process-asset' });
    const revivals = await Promise.all(
      Array.from({ length: 3 }, () => world.failedAssetRetry.retry(letter!)),
    );
    expect(revivals.filter(Boolean)).toHaveLength(1);
    expect(await world.deadLetters.get(letter!.id)).toMatchObject({ state: 'RETRIED' });
    await world.process(await world.job(id));
    expect(await world.asset(id)).toMatchObject({ status: 'READY', statusReason: null });
    expect(await world.failedAssetRetry.retry(letter!)).toBe(false);
  });
});

it('rejects bytes whose CRC32C differs from that of storage', async () => {
  await using world = await World.start({
    around: (real) =>
      Object.assign(Object.create(real) as typeof real, {
        stat: async (...args: Parameters<typeof real.stat>) => {
          const found = await real.stat(...args);
          return found === null ? null : { ...found, crc32c: 'AAAAAA==' };
        },
      }),
  });
  const { id, job } = await world.received('misread');
  await world.process(job);
  expect(await world.asset(id)).toMatchObject({
    status: 'REJECTED',
    statusReason: { code: 'CHECKSUM_MISMATCH' },
  });
});

it('stores only allowed types, declared or detected', async () => {
  await using world = await World.start({ allowedTypes: ['image/*', 'text/csv'] });
  await expect(world.request('a', { mimeType: 'text/plain' })).rejects.toMatchObject({
    reason: 'TYPE_NOT_ALLOWED',
    inputPath: ['input', 'mimeType'],
  });
  expect(await world.upload('a,b', { mimeType: 'text/csv' })).toMatchObject({ status: 'READY' });
  expect(await world.upload(PNG, { mimeType: 'application/octet-stream' })).toMatchObject({
    mimeType: 'image/png',
  });
  const found = await world.upload('%PDF-1.7\n', { mimeType: 'application/octet-stream' });
  expect(found).toMatchObject({ status: 'REJECTED', statusReason: { code: 'TYPE_NOT_ALLOWED' } });
});

it('shares no object between owners with dedupe scope owner', async () => {
  await using world = await World.start({ dedupeScope: 'owner' });
  const [first, second] = [
    await world.upload('mine', {}, actor(1n)),
    await world.upload('mine', {}, actor(2n)),
  ];
  expect(first.objectKey).not.toBe(second.objectKey);
  expect(await world.storedObjects()).toMatchObject([{ refCount: 1 }, { refCount: 1 }]);
});
