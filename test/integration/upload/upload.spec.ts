import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import type { Statement } from '#libs/database';
import type { StowageError } from '#libs/domain';
import { SHARE_EXISTING } from '../../../libs/upload/src/own-duplicates.repository.js';
import { actor, INCOMING, requestFor, sha256, World } from '../../../libs/testing/src/world.js';

const kinds = (results: PromiseSettledResult<unknown>[]) =>
  results.map((result) => (result.status === 'fulfilled' ? 'ok' : (result.reason as StowageError).reason));

describe('uploads (real: PostgreSQL, storage emulator)', () => {
  let world: World;
  beforeAll(async () => {
    world = await World.start({ quotaBytes: 370, quotaAssets: 1000 });
  });
  afterAll(() => world[Symbol.asyncDispose]());

  it('accepts exactly as many of 500 concurrent requests as the quota allows', async () => {
    const by = actor(1n);
    const results = await Promise.allSettled(
      Array.from({ length: 500 }, (_, index) => world.request(String(index).padStart(10, '0'), {}, by)),
    );
    const outcomes = kinds(results);
    expect(outcomes.filter((outcome) => outcome === 'ok')).toHaveLength(37);
    expect(outcomes.filter((outcome) => outcome === 'QUOTA_EXCEEDED')).toHaveLength(463);
    expect(await world.quotas.of(1n)).toMatchObject({
      reservedBytes: 370,
      reservedAssets: 37,
      usedBytes: 0,
    });
    expect(await world.database.prisma.mediaAsset.count({ where: { ownerId: 1n } })).toBe(37);
  });

  it('claims simultaneous uploads in batches, once each, and prefers owners with a smaller backlog', async () => {
    const send = async (by: bigint, index: number) => {
      const text = `${by}-${index}`;
      const { id, ticket } = await world.request(text, {}, actor(by));
      await world.put(ticket, text);
      return id;
    };
    const ofOne = await Promise.all([1, 2, 3, 4].map((index) => send(731n, index)));
    const alone = await send(732n, 1);
    const query = jest.spyOn(world.database, 'query');
    const outcomes = await Promise.all(
      [...ofOne, ...ofOne, alone].map((id) => world.completion.checkObject(id)),
    );
    const claims = query.mock.calls.filter(([{ name }]) => name === 'assets_claim');
    query.mockRestore();
    expect(claims.length).toBeLessThan(outcomes.length);
    expect(outcomes.filter((outcome) => outcome === 'claimed')).toHaveLength(5);
    expect(outcomes.filter((outcome) => outcome === 'known')).toHaveLength(4);
    const jobs = await world.queue.getJobs(['prioritized']);
    const priorities = (ids: string[]) =>
      jobs
        .filter(({ data }) => ids.includes(data.assetId))
        .map(({ opts }) => opts.priority)
        .sort();
    expect(priorities(ofOne)).toEqual([1, 2, 3, 4]);
    expect(priorities([alone])).toEqual([1]);
  });

  it('enforces asset counts as exactly as bytes, with the limits of the owner', async () => {
    await world.database.prisma.ownerQuota.create({
      data: { ownerId: 2n, limitBytes: 10_000n, limitAssets: 5 },
    });
    const results = await Promise.allSettled(
      Array.from({ length: 20 }, () => world.request('x'.repeat(500), {}, actor(2n))),
    );
    expect(kinds(results).filter((outcome) => outcome === 'ok')).toHaveLength(5);
  });

  it('writes concurrent requests of many owners together without failing one for another', async () => {
    const without = 605n;
    await world.database.prisma.ownerQuota.create({ data: { ownerId: without, limitBytes: 1n } });
    const owners = Array.from({ length: 10 }, (_, index) => BigInt(600 + index));
    const ask = (owner: bigint, overrides = {}) =>
      world.request(
        `of ${owner}`,
        {
          metadata: [{ key: 'owner', value: String(owner) }],
          acl: [{ principal: `group:${owner}`, permissions: ['READ'] }],
          ...overrides,
        },
        actor(owner),
      );
    const statements = jest.spyOn(world.database, 'query');
    const results = await Promise.allSettled([
      ...owners.map((owner) => ask(owner)),
      ask(609n, { idempotencyKey: 'sent twice at once' }),
      ask(609n, { idempotencyKey: 'sent twice at once' }),
    ]);
    const inserts = statements.mock.calls.filter(([{ name }]) => name === 'upload_create');
    statements.mockRestore();
    // The first statement has all requests and fails on the repeated key; then each is tried alone:
    // one exceeds its quota, and one is a replay.
    expect(inserts.map(([, values]) => (JSON.parse(String(values[2])) as object[]).length)[0]).toBe(12);
    expect(kinds(results)).toEqual([
      ...owners.map((owner) => (owner === without ? 'QUOTA_EXCEEDED' : 'ok')),
      'ok',
      'ok',
    ]);
    const ids = results.map((result) => (result.status === 'fulfilled' ? result.value.asset.id : null));
    expect(ids[10]).toBe(ids[11]);
    const details = await world.assets.details(ids.filter((id) => id !== null));
    for (const [index, owner] of owners.entries()) {
      if (owner === without) continue;
      expect(details.get(ids[index]!)).toMatchObject({
        metadata: [{ value: String(owner) }],
        acl: [{ principal: `group:${owner}` }],
      });
      expect(await world.quotas.of(owner)).toMatchObject({ reservedAssets: owner === 609n ? 2 : 1 });
    }
    const rows = await world.database.prisma.mediaAsset.findMany({
      where: { ownerId: { in: owners } },
      select: { assetId: true, ownerId: true },
    });
    expect(rows).toHaveLength(10);
    expect(await world.quotas.of(without)).toMatchObject({ reservedAssets: 0 });
  });

  it('reserves for single uploads of several owners in one statement', async () => {
    const statements = jest.spyOn(world.database, 'query');
    const owners = Array.from({ length: 10 }, (_, index) => BigInt(620 + index));
    await Promise.all(owners.map((owner) => world.request('x', {}, actor(owner))));
    const inserts = statements.mock.calls.filter(([{ name }]) => name === 'upload_create');
    statements.mockRestore();
    expect(inserts).toHaveLength(1);
    for (const owner of owners) {
      expect(await world.quotas.of(owner)).toMatchObject({ reservedBytes: 1, reservedAssets: 1 });
    }
  });

  it('writes metadata, access list and event with the asset, or nothing at all', async () => {
    const by = actor(3n);
    const { asset } = await world.request(
      'abc',
      {
        metadata: [{ key: 'album', value: 'Rome' }],
        acl: [{ principal: 'group:editors', permissions: ['READ', 'WRITE'] }],
      },
      by,
    );
    const read = await world.assets.find(by, asset.id);
    expect({ ...read, details: undefined }).toEqual({ ...asset, details: undefined });
    const details = (await world.assets.details([asset.id])).get(asset.id);
    expect(details).toEqual({
      metadata: [{ key: 'album', value: 'Rome' }],
      acl: ['READ', 'WRITE'].map((permission) => ({
        principal: 'group:editors',
        permission,
        expiresAt: null,
      })),
    });
    expect(await world.events(asset.id)).toEqual(['asset.requested']);
    await expect(world.request('abc', { sizeBytes: 371 }, by)).rejects.toMatchObject({
      kind: 'over-quota',
    });
    expect(await world.database.prisma.mediaAsset.count({ where: { ownerId: 3n } })).toBe(1);
  });

  it('treats a repeat as a replay in whatever order its metadata and grants are', async () => {
    const by = actor(640n);
    const metadata = ['a', 'b', 'c'].map((key) => ({ key, value: key }));
    const acl = ['user:1', 'group:staff', '*'].map((principal) => ({
      principal,
      permissions: ['READ' as const],
    }));
    const first = await world.request('in order', { idempotencyKey: 'k', metadata, acl }, by);
    const reversed = { metadata: metadata.toReversed(), acl: acl.toReversed() };
    const again = await world.request('in order', { idempotencyKey: 'k', ...reversed }, by);
    expect(again.id).toBe(first.id);
  });

  it('reserves once for an idempotency key, however often and concurrently it is sent', async () => {
    const by = actor(4n);
    const same = () => world.request('same', { idempotencyKey: 'k' }, by);
    const results = await Promise.all([same(), same(), same(), same(), same()]);
    expect(new Set(results.map(({ id }) => id)).size).toBe(1);
    expect(results.every(({ ticket }) => ticket !== null)).toBe(true);
    expect(await world.quotas.of(4n)).toMatchObject({ reservedBytes: 4, reservedAssets: 1 });
    await expect(world.request('other', { idempotencyKey: 'k' }, by)).rejects.toMatchObject({
      kind: 'conflict',
      reason: 'IDEMPOTENCY_KEY_REUSED',
    });
    await world.database.prisma.ownerQuota.update({ where: { ownerId: 4n }, data: { limitBytes: 4n } });
    expect((await same()).id).toBe(results[0].id);
  });

  it('accepts the valid items of a batch that fit, in order, and rejects each of the others', async () => {
    const by = actor(30n);
    const batch = [
      requestFor('x'.repeat(200)),
      requestFor('y', { filename: '' }),
      requestFor('z'.repeat(200)),
      requestFor('k', { idempotencyKey: 'k' }),
      requestFor('k', { idempotencyKey: 'k' }),
      requestFor('other', { idempotencyKey: 'k' }),
      requestFor('w'.repeat(169)),
    ];
    const results = await world.uploads.requestAll(by, batch, 'r');
    const outcomes = results.map((result) => ('reason' in result ? result.reason : result.asset.status));
    expect(outcomes).toEqual([
      'PENDING',
      'FILENAME_INVALID',
      'QUOTA_EXCEEDED',
      'PENDING',
      'PENDING',
      'IDEMPOTENCY_KEY_REUSED',
      'PENDING',
    ]);
    expect(await world.quotas.of(30n)).toMatchObject({ reservedBytes: 370, reservedAssets: 3 });
    const again = await world.uploads.requestAll(by, [batch[3]!], 'r');
    expect(again).toMatchObject([{ asset: { id: (results[3] as { asset: { id: string } }).asset.id } }]);
    await expect(world.uploads.requestAll(by, [], 'r')).rejects.toMatchObject({ reason: 'BATCH_SIZE' });
    const many = Array.from({ length: 101 }, () => batch[0]!);
    await expect(world.uploads.requestAll(by, many, 'r')).rejects.toMatchObject({ reason: 'BATCH_SIZE' });
  });

  it('reserves exactly for concurrent batches and single requests', async () => {
    const by = actor(31n);
    const one = {
      filename: 'f',
      mimeType: 'text/plain',
      sizeBytes: 10,
      checksumSha256: sha256('0123456789'),
    };
    const batches = Array.from({ length: 10 }, () =>
      world.uploads.requestAll(
        by,
        Array.from({ length: 5 }, () => one),
        'r',
      ),
    );
    const singles = Array.from({ length: 20 }, () => world.uploads.requestAll(by, [one], 'r'));
    const results = (await Promise.all([...batches, ...singles])).flat();
    expect(results.filter((result) => 'asset' in result)).toHaveLength(37);
    expect(await world.quotas.of(31n)).toMatchObject({ reservedBytes: 370, reservedAssets: 37 });
  });

  it('renews a ticket with its conditions while the upload is pending', async () => {
    const by = actor(32n);
    const { id, ticket } = await world.request('abc', { crc32c: 'NksxWA==' }, by);
    const fresh = await world.uploads.renew(by, id);
    expect(fresh.headers).toEqual(ticket!.headers);
    expect(fresh.headers).toContainEqual({ name: 'x-goog-hash', value: 'crc32c=NksxWA==' });
    expect(await world.put(fresh, 'abd')).toBe(400);
    await expect(world.uploads.renew(actor(33n), id)).rejects.toMatchObject({ kind: 'not-found' });
    await world.uploads.cancel(by, id);
    await expect(world.uploads.renew(by, id)).rejects.toMatchObject({
      kind: 'conflict',
      reason: 'UPLOAD_NOT_PENDING',
    });
  });

  it('answers a replay after the deadline with the EXPIRED asset and rejects a grant in the past', async () => {
    const by = actor(34n);
    const key = {
      idempotencyKey: 'k',
      acl: [
        {
          principal: 'user:1',
          permissions: ['READ' as const],
          expiresAt: new Date(Date.now() + 3_600_000),
        },
      ],
    };
    const { id } = await world.request('abc', key, by);
    const where = { assetId: id };
    const granted = new Date('2020-01-01');
    const past = { ...key, acl: [{ ...key.acl[0]!, expiresAt: granted }], idempotencyKey: 'never used' };
    await expect(world.request('abc', past, by)).rejects.toMatchObject({ reason: 'EXPIRY_PAST' });
    await world.database.prisma.mediaAsset.update({
      where,
      data: { uploadDeadlineAt: new Date(Date.now() - 1) },
    });
    expect(await world.request('abc', key, by)).toMatchObject({
      id,
      ticket: null,
      asset: { status: 'EXPIRED' },
    });
  });

  it('shares an existing object of the owner without a transfer and charges the quota again', async () => {
    const by = actor(36n);
    await world.database.prisma.ownerQuota.create({ data: { ownerId: 36n, limitBytes: 30n } });
    const first = await world.upload('ten bytes!', {}, by);
    const { asset, ticket } = await world.request(
      'ten bytes!',
      { filename: 'again.txt', metadata: [{ key: 'a', value: 'b' }] },
      by,
    );
    expect(ticket).toBeNull();
    expect(asset).toMatchObject({
      status: 'READY',
      filename: 'again.txt',
      objectKey: first.objectKey,
      mimeType: 'text/plain',
    });
    expect((await world.assets.details([asset.id])).get(asset.id)).toMatchObject({
      metadata: [{ key: 'a', value: 'b' }],
    });
    // Lists by properties are ordered by creation time.
    const properties = await world.database.prisma.assetProperties.findUniqueOrThrow({
      where: { assetId: asset.id },
    });
    expect(properties.createdAt).toEqual(asset.createdAt);
    expect(asset.createdAt.getTime()).toBeGreaterThan(first.createdAt.getTime());
    expect(await world.quotas.of(36n)).toMatchObject({ usedBytes: 20, usedAssets: 2, reservedBytes: 0 });
    const stored = (await world.storedObjects()).find(({ sha256: sum }) => sum === sha256('ten bytes!'));
    expect(stored).toMatchObject({ refCount: 2 });
    expect(await world.events(asset.id)).toEqual(['asset.adopted']);
    expect((await world.request('ten bytes!', { mimeType: 'text/csv' }, by)).ticket).not.toBeNull();
    await expect(world.request('ten bytes!', {}, by)).rejects.toMatchObject({ kind: 'over-quota' });
    expect((await world.request('ten bytes!', {}, actor(37n))).ticket).not.toBeNull();
  });

  it('shares an existing object once per idempotency key and within the quota', async () => {
    const by = actor(38n);
    await world.database.prisma.ownerQuota.create({ data: { ownerId: 38n, limitBytes: 50n } });
    await world.upload('ten bytes?', {}, by);
    const key = { idempotencyKey: 'k' };
    const same = await Promise.all(Array.from({ length: 5 }, () => world.request('ten bytes?', key, by)));
    expect(new Set(same.map(({ id }) => id)).size).toBe(1);
    expect(same.every(({ ticket, asset }) => ticket === null && asset.status === 'READY')).toBe(true);
    const more = await Promise.allSettled(
      Array.from({ length: 10 }, () => world.request('ten bytes?', {}, by)),
    );
    expect(kinds(more).filter((outcome) => outcome === 'ok')).toHaveLength(3);
    const quota = await world.quotas.of(38n);
    expect(quota.usedAssets + quota.reservedAssets).toBe(5);
    const stored = (await world.storedObjects()).find(({ sha256: sum }) => sum === sha256('ten bytes?'));
    expect(stored!.refCount).toBe(
      await world.database.prisma.mediaAsset.count({ where: { storedObjectId: stored!.id } }),
    );
  });

  it('returns the new asset of a shared object even if it is purged before the response', async () => {
    const by = actor(138n);
    await world.upload('mine', {}, by);
    const { database } = world;
    const query = database.query.bind(database);
    database.query = async <Row>(statement: Statement<Row>, values: readonly unknown[]) => {
      const rows = await query(statement, values);
      if (statement.name !== SHARE_EXISTING.name) return rows;
      database.query = query;
      const [newest] = await database.prisma.mediaAsset.findMany({
        where: { ownerId: 138n },
        orderBy: { createdAt: 'desc' },
        take: 1,
      });
      await world.removal.purge(by, newest!.assetId);
      return rows;
    };
    const { id, asset, ticket } = await world.request('mine', {}, by);
    expect(asset).toMatchObject({ status: 'READY' });
    expect(ticket).toBeNull();
    expect(await world.assets.findWithoutAccessCheck(id)).toBeNull();
    expect(await world.events(id)).toEqual(['asset.adopted', 'asset.purged']);
  });

  it('gives a replay no ticket once the upload is claimed', async () => {
    const by = actor(5n);
    const { id, ticket } = await world.request('abc', { idempotencyKey: 'k' }, by);
    await world.put(ticket, 'abc');
    await world.completion.checkObject(id);
    expect(await world.request('abc', { idempotencyKey: 'k' }, by)).toMatchObject({ id, ticket: null });
  });

  it('claims bytes that were uploaded in time when a key is repeated after the deadline', async () => {
    const by = actor(137n);
    const { id, ticket } = await world.request('abc', { idempotencyKey: 'k' }, by);
    await world.put(ticket, 'abc');
    await world.database.prisma.mediaAsset.update({
      where: { assetId: id },
      data: { uploadDeadlineAt: new Date(Date.now() - 1) },
    });
    const { asset } = await world.request('abc', { idempotencyKey: 'k' }, by);
    expect(asset).toMatchObject({ id, status: 'PROCESSING' });
    await world.process(await world.job(id));
    expect(await world.asset(id)).toMatchObject({ status: 'READY' });
  });

  it('accepts exactly one of two concurrent PUTs, and only of the signed size', async () => {
    const by = actor(6n);
    const { ticket } = await world.request('abc', {}, by);
    expect(await world.put(ticket, 'abcd')).toBe(400);
    expect(await world.put(ticket, 'ab')).toBe(400);
    expect((await Promise.all([world.put(ticket, 'abc'), world.put(ticket, 'abd')])).sort()).toEqual([
      200, 412,
    ]);
  });

  it('claims the stored generation once, however many events are delivered', async () => {
    const by = actor(7n);
    const { id, ticket } = await world.request('abc', {}, by);
    expect(await world.completion.checkObject(id)).toBe('nothing-there');
    await world.put(ticket, 'abc');
    const outcomes = await Promise.all(Array.from({ length: 5 }, () => world.completion.checkObject(id)));
    expect(outcomes.sort()).toEqual(['claimed', 'known', 'known', 'known', 'known']);
    expect(await world.asset(id)).toMatchObject({ status: 'PROCESSING', attempt: 1 });
    expect(await world.events(id)).toEqual(['asset.requested', 'asset.received']);
  });

  it('checks storage instead of trusting an event', async () => {
    expect(await world.completion.checkObject('somebody/elses')).toBe('unknown-asset');
    const stray = '019f5b1e-7c4b-7def-8a1b-0123456789ab';
    expect(await world.completion.checkObject(stray)).toBe('nothing-there');
    await world.emulators.put({ bucket: INCOMING, key: stray }, Buffer.from('x'), {
      contentType: 'text/plain',
    });
    // The database may have been restored to a time before the upload, so only `collect-orphans` deletes the object.
    expect(await world.completion.checkObject(stray)).toBe('unknown-asset');
    expect(await world.objects(INCOMING)).toContain(stray);
  });

  it('cancels an upload, releases its quota and discards late bytes', async () => {
    const by = actor(8n);
    const { id, ticket } = await world.request('abc', {}, by);
    expect(await world.uploads.cancel(by, id)).toMatchObject({ status: 'CANCELLED' });
    expect(await world.uploads.cancel(by, id)).toMatchObject({ status: 'CANCELLED' });
    expect(await world.quotas.of(8n)).toMatchObject({ reservedBytes: 0, reservedAssets: 0 });
    expect(await world.put(ticket, 'abc')).toBe(200);
    expect(await world.completion.checkObject(id)).toBe('discarded');
    expect(await world.objects(INCOMING)).not.toContain(id);
    expect(await world.events(id)).toEqual(['asset.requested', 'asset.cancelled']);
  });

  it('lets exactly one of cancellation and claim win', async () => {
    const by = actor(9n);
    const { id, ticket } = await world.request('abc', {}, by);
    await world.put(ticket, 'abc');
    await Promise.allSettled([world.uploads.cancel(by, id), world.completion.checkObject(id)]);
    const { status } = await world.asset(id);
    const reserved = (await world.quotas.of(9n)).reservedAssets;
    expect([
      ['CANCELLED', 0],
      ['PROCESSING', 1],
    ]).toContainEqual([status, reserved]);
  });

  it('checks storage when the client reports the upload as complete', async () => {
    const by = actor(10n);
    const { id, ticket } = await world.request('abc', {}, by);
    expect(await world.uploads.complete(by, id)).toMatchObject({ status: 'PENDING' });
    await world.put(ticket, 'abc');
    expect(await world.uploads.complete(by, id)).toMatchObject({ status: 'PROCESSING' });
    expect(await world.uploads.complete(by, id)).toMatchObject({ status: 'PROCESSING' });
  });

  it('hides an upload from callers without access and forbids changes by readers', async () => {
    const { id } = await world.request(
      'abc',
      { acl: [{ principal: 'group:readers', permissions: ['READ'] }] },
      actor(11n),
    );
    const [stranger, reader] = [actor(12n), actor(12n, { groups: ['readers'] })];
    await expect(world.uploads.cancel(stranger, id)).rejects.toMatchObject({ kind: 'not-found' });
    await expect(world.uploads.complete(reader, id)).rejects.toMatchObject({ kind: 'forbidden' });
    expect(await world.assets.find(stranger, id)).toBeNull();
    expect(await world.assets.find(reader, id)).not.toBeNull();
    expect(await world.assets.find(actor(12n, { isAdmin: true }), id)).not.toBeNull();
  });

  it.each([
    ['sizeBytes', { sizeBytes: 2 ** 30 + 1 }, 'SIZE_TOO_LARGE'],
    ['checksumSha256', { checksumSha256: 'g'.repeat(64) }, 'CHECKSUM_INVALID'],
    ['mimeType', { mimeType: 'image/*' }, 'MIME_TYPE_INVALID'],
    ['filename', { filename: 'a/b' }, 'FILENAME_INVALID'],
    ['crc32c', { crc32c: 'nope' }, 'CRC32C_INVALID'],
    ['idempotencyKey', { idempotencyKey: '' }, 'IDEMPOTENCY_KEY_INVALID'],
    ['idempotencyKey', { idempotencyKey: 'a\0b' }, 'IDEMPOTENCY_KEY_INVALID'],
    ['idempotencyKey', { idempotencyKey: 'x\ud800' }, 'IDEMPOTENCY_KEY_INVALID'],
    ['metadata', { metadata: [{ key: '', value: '' }] }, 'METADATA_INVALID'],
    [
      'acl',
      { acl: [{ principal: 'user:1', permissions: ['READ' as const], expiresAt: new Date(0) }] },
      'EXPIRY_PAST',
    ],
    ['acl', { acl: [{ principal: '*', permissions: ['WRITE' as const] }] }, 'GRANT_TO_EVERYONE'],
  ])('rejects an invalid %s with its path and reason', async (field, wrong, reason) => {
    await expect(world.request('abc', wrong, actor(13n))).rejects.toMatchObject({
      kind: 'invalid',
      reason,
      inputPath: expect.arrayContaining(['input', field]) as unknown,
    });
    expect(await world.quotas.of(13n)).toMatchObject({ reservedAssets: 0 });
  });
});
