import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import sharp from 'sharp';
import { inconsistencies } from '../../support/consistency.js';
import { emptyWorld } from '../../support/empty-world.js';
import { actor, CONTENT, requestFor, sha256, World } from '../../../libs/testing/src/world.js';

const OPERATOR = actor(1n, { isAdmin: true });
const DAY_MS = 86_400_000;
const picture = (width: number) =>
  sharp({ create: { width, height: 10, channels: 3, background: '#abc' } })
    .png()
    .toBuffer();

/** Real: PostgreSQL, storage emulator, the pipeline. */
describe.each(['global', 'owner'] as const)('replaceUpload (DEDUPE_SCOPE=%s)', (dedupeScope) => {
  let world: World;
  beforeAll(async () => {
    world = await World.start({ profiles: ['small=webp:8:80'], dedupeScope });
  });
  afterAll(() => world?.[Symbol.asyncDispose]());
  beforeEach(() => emptyWorld(world));

  const replace = (id: string, bytes: Buffer | string, more: object = {}, by = actor()) =>
    world.uploads.replace(by, id, requestFor(bytes, more), 'test-request');
  /** Requests a replacement and sends its bytes, so that it is ready to be processed. */
  const received = async (id: string, bytes: Buffer | string, more: object = {}) => {
    const { asset, ticket } = await replace(id, bytes, more);
    expect(await world.put(ticket, bytes)).toBe(200);
    await world.completion.checkObject(asset.id);
    return asset.id;
  };
  const process = async (id: string) => world.process(await world.job(id));
  const quota = () => world.quotas.of(42n);
  /** The replaced bytes are deleted after the restore window. */
  const consistent = async () => {
    await world.runTask('remove-unreferenced', { now: new Date(Date.now() + 8 * DAY_MS) });
    const where = { refCount: 0, state: { in: ['LIVE' as const, 'DELETING' as const] } };
    expect(await world.database.prisma.storedObject.count({ where })).toBe(0);
    expect(await inconsistencies(world.testDatabase.url, world.emulators)).toEqual([]);
  };

  it('gives an asset new bytes under its id, and serves the old ones until then', async () => {
    const [oldBytes, newBytes] = [await picture(10), await picture(20)];
    const png = { filename: 'a.png', mimeType: 'image/png' };
    const details = { metadata: [{ key: 'a', value: 'b' }] };
    const old = await world.upload(oldBytes, { ...png, ...details });
    const upload = await received(old.id, newBytes, { filename: 'b.png', mimeType: 'image/png' });
    expect(await world.asset(upload)).toMatchObject({ status: 'PROCESSING', replaces: old.id });
    expect(await world.asset(old.id)).toEqual(old);
    expect(await quota()).toMatchObject({
      ...{ usedBytes: oldBytes.length, usedAssets: 1 },
      ...{ reservedBytes: newBytes.length, reservedAssets: 1 },
    });

    await process(upload);
    const replaced = await world.asset(old.id);
    expect(replaced).toMatchObject({
      ...{ status: 'READY', filename: 'a.png', ownerId: 42n, sizeBytes: newBytes.length },
      ...{ checksumSha256: sha256(newBytes), version: old.version + 1, createdAt: old.createdAt },
    });
    expect(replaced.storedObjectId).not.toBe(old.storedObjectId);
    const contents = (await world.assets.contents([old.id])).get(old.id);
    expect(contents).toMatchObject({ properties: { width: 20 }, variants: [{ name: 'small', width: 8 }] });
    expect((await world.assets.details([old.id])).get(old.id)).toMatchObject(details);
    expect(await world.asset(upload)).toMatchObject({ status: 'DELETED', storedObjectId: null });
    expect(await quota()).toMatchObject({
      ...{ usedBytes: newBytes.length, usedAssets: 1, reservedBytes: 0, reservedAssets: 0 },
    });
    expect(await world.events(old.id)).toContain('asset.replaced');
    expect(await world.events(upload)).toEqual(['asset.requested', 'asset.received', 'asset.applied']);

    // A database restored from a backup still finds the replaced bytes.
    await world.runTask('remove-unreferenced', { now: new Date(Date.now() + 6 * DAY_MS) });
    expect(await world.store.stat({ bucket: CONTENT, key: old.objectKey })).not.toBeNull();
    await consistent();
  });

  it('is hidden from lists', async () => {
    const { id } = await world.upload('old');
    const { asset } = await replace(id, 'new');
    const list = async (limit: number, filter = {}) => {
      const { found } = await world.assets.list(actor(), {
        ...{ scope: 'OWN', by: 'created', statuses: ['PENDING', 'READY'], direction: 'desc', limit },
        filter: { ownerId: 42n, ...filter },
      });
      return found.map(({ asset }) => asset.id);
    };
    expect(await list(10)).toEqual([id]);
    expect(await list(1)).toEqual([id]);
    expect(await list(10, { filenameContains: 'file' })).toEqual([id]);
    expect(await world.assets.find(actor(), asset.id)).toMatchObject({ replaces: id });
    expect(await world.assets.find(actor(43n), asset.id)).toBeNull();
  });

  it('shares bytes that another asset has', async () => {
    const other = await world.upload('new');
    const { id, storedObjectId } = await world.upload('old');
    await process(await received(id, 'new'));
    expect(await world.asset(id)).toMatchObject({ status: 'READY', storedObjectId: other.storedObjectId });
    expect(storedObjectId).not.toBe(other.storedObjectId);
    await consistent();
  });

  it('needs no upload of the bytes that the asset has', async () => {
    const { id } = await world.upload('same');
    expect(await replace(id, 'same')).toMatchObject({ asset: { id, status: 'READY' }, ticket: null });
    const idempotencyKey = 'key';
    const first = await replace(id, 'new', { idempotencyKey });
    expect((await replace(id, 'new', { idempotencyKey })).asset.id).toBe(first.asset.id);
    await world.put(first.ticket, 'new');
    await world.completion.checkObject(first.asset.id);
    await process(first.asset.id);
    expect(await replace(id, 'new', { idempotencyKey })).toMatchObject({ asset: { id }, ticket: null });
    // The key belongs to the replacement.
    const request = requestFor('new', { idempotencyKey });
    await expect(world.uploads.request(actor(), request, 'test')).rejects.toMatchObject({
      reason: 'IDEMPOTENCY_KEY_REUSED',
    });
  });

  it.each<[string, (id: string) => Promise<unknown>]>([
    ['was deleted', (id) => world.removal.delete(actor(), id)],
    ['was purged', (id) => world.removal.purge(actor(), id)],
    ['got other bytes', async (id) => process(await received(id, 'others'))],
    [
      'got another owner',
      (assetId) => world.database.prisma.mediaAsset.update({ where: { assetId }, data: { ownerId: 43n } }),
    ],
  ])('is rejected when the asset %s meanwhile', async (what, change) => {
    const { id } = await world.upload('old');
    const upload = await received(id, 'new');
    await change(id);
    await process(upload);
    expect(await world.asset(upload)).toMatchObject({
      status: 'REJECTED',
      statusReason: { code: 'REPLACEMENT_OBSOLETE' },
    });
    expect((await quota()).reservedBytes).toBe(0);
    if (what !== 'got another owner') await consistent();
  });

  it('is not applied when it was deleted meanwhile', async () => {
    const old = await world.upload('old');
    const upload = await received(old.id, 'new');
    await world.removal.delete(actor(), upload);
    await process(upload);
    expect(await world.asset(upload)).toMatchObject({ status: 'DELETED' });
    expect(await world.asset(old.id)).toEqual(old);
    await consistent();
  });

  it('is not made READY by a worker that does not know replacements', async () => {
    const { id, storedObjectId } = await world.upload('old');
    const assetId = await received(id, 'new');
    const update = { where: { assetId }, data: { status: 'READY' as const, storedObjectId } };
    await expect(world.database.prisma.mediaAsset.update(update)).rejects.toThrow(
      'media_assets_replacement_check',
    );
    await process(assetId);
  });

  it('leaves the asset alone when its bytes are refused', async () => {
    const old = await world.upload('old');
    world.scanner.answers.set('evil', { outcome: 'infected', signature: 'Evil' });
    const upload = await received(old.id, 'evil');
    await process(upload);
    expect(await world.asset(upload)).toMatchObject({
      status: 'REJECTED',
      statusReason: { code: 'MALWARE' },
    });
    expect(await world.asset(old.id)).toEqual(old);
    world.scanner.answers.clear();
    await consistent();
  });

  it('applies one of several at once, by the bytes of the time of their requests', async () => {
    const { id } = await world.upload('old');
    const uploads = [await received(id, 'first'), await received(id, 'second')];
    await Promise.all(uploads.map(process));
    const statuses = await Promise.all(uploads.map(async (upload) => (await world.asset(upload)).status));
    expect(statuses.toSorted()).toEqual(['DELETED', 'REJECTED']);
    expect(await quota()).toMatchObject({ usedAssets: 1, reservedAssets: 0, reservedBytes: 0 });
    await consistent();
  });

  it('uses the quota of the owner while both exist', async () => {
    const { id } = await world.upload('old');
    await world.database.prisma.ownerQuota.update({ where: { ownerId: 42n }, data: { limitBytes: 5n } });
    await expect(replace(id, 'new')).rejects.toMatchObject({ reason: 'QUOTA_EXCEEDED' });
    await world.database.prisma.ownerQuota.update({ where: { ownerId: 42n }, data: { limitBytes: 6n } });
    expect((await replace(id, 'new', {}, OPERATOR)).asset).toMatchObject({ ownerId: 42n, status: 'PENDING' });
  });

  it.each([
    ['a stranger', actor(43n), {}, 'ASSET_NOT_FOUND'],
    ['a reader', actor(44n), {}, 'OWNER_ONLY'],
    ['metadata', actor(), { metadata: [{ key: 'a', value: 'b' }] }, 'REPLACEMENT_DETAILS'],
    ['an access list', actor(), { acl: [{ principal: '*', permissions: ['READ'] }] }, 'REPLACEMENT_DETAILS'],
  ])('refuses %s', async (_, by, more, reason) => {
    const { id } = await world.upload('old', {
      acl: [{ principal: 'user:44', permissions: ['READ', 'WRITE'] }],
    });
    await expect(replace(id, 'new', more, by)).rejects.toMatchObject({ reason });
  });

  it('refuses an asset without bytes', async () => {
    const { id } = await world.request('old');
    await expect(replace(id, 'new')).rejects.toMatchObject({ reason: 'ASSET_NOT_READY' });
    const deleted = await world.upload('old');
    await world.removal.delete(actor(), deleted.id);
    await expect(replace(deleted.id, 'new')).rejects.toMatchObject({ reason: 'ASSET_NOT_READY' });
  });
});
