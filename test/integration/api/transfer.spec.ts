import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { createClient } from 'graphql-ws';
import { WebSocket } from 'ws';
import { Database } from '#libs/database';
import { storeAsset, TestApi, until } from '#libs/testing';

const TRANSFER = `mutation ($id: ID!, $ownerId: ID!) { transferAsset(id: $id, ownerId: $ownerId) {
  id ownerId status viewerPermissions acl { principal permission } } }`;
const ASSET = `query ($id: ID!) { asset(id: $id) { ownerId viewerPermissions } viewer { quota { usedBytes usedAssets } } }`;
const ADMIN = { scope: 'stowage.admin' };

describe('transferAsset (real: the api, PostgreSQL, storage emulator)', () => {
  let api: TestApi;
  let database: Database;
  beforeAll(async () => {
    api = await TestApi.start({ QUOTA_ASSETS: '2' });
    database = api.app.get(Database);
  });
  afterAll(() => api[Symbol.asyncDispose]());

  const transfer = (id: string, ownerId: string, as: TestApi = api) =>
    as.query(TRANSFER, { id, ownerId }, '1000', ADMIN);
  const refused = (code: string, reason: string) => ({
    errors: [{ path: ['transferAsset'], extensions: { code, reason } }],
  });
  const seenBy = async (subject: string, id: string) => (await api.query(ASSET, { id }, subject)).data;

  it('gives an asset to another owner, whatever the number of calls', async () => {
    const id = await storeAsset(database, { ownerId: 42n, readers: ['user:44'] });
    for (let call = 0; call < 2; call++) {
      const { data, errors } = await transfer(id, '43');
      expect(errors).toBeUndefined();
      expect(data).toEqual({
        transferAsset: {
          id,
          ownerId: '43',
          status: 'READY',
          viewerPermissions: ['READ', 'WRITE', 'DELETE'],
          acl: [{ principal: 'user:44', permission: 'READ' }],
        },
      });
    }
    const quota = (usedBytes: number, usedAssets: number) => ({ quota: { usedBytes, usedAssets } });
    expect(await seenBy('42', id)).toEqual({ asset: null, viewer: quota(0, 0) });
    expect(await seenBy('43', id)).toEqual({
      asset: { ownerId: '43', viewerPermissions: ['READ', 'WRITE', 'DELETE'] },
      viewer: quota(1_000, 1),
    });
    expect(await seenBy('44', id)).toMatchObject({ asset: { ownerId: '43', viewerPermissions: ['READ'] } });
  });

  it('is FORBIDDEN to all but operators, who learn nothing about the asset', async () => {
    const id = await storeAsset(database, { ownerId: 45n, readers: ['*'] });
    for (const [subject, asset, owner] of [
      ['45', id, '46'],
      ['46', id, '46'],
      ['46', randomUUID(), '46'],
      ['46', 'no id', 'no owner'],
    ] as const) {
      expect(await api.query(TRANSFER, { id: asset, ownerId: owner }, subject)).toMatchObject(
        refused('FORBIDDEN', 'OPERATORS_ONLY'),
      );
    }
    expect(await api.query(TRANSFER, { id, ownerId: '46' }, null)).toMatchObject({
      errors: [{ extensions: { code: 'UNAUTHENTICATED' } }],
    });
    expect(await seenBy('45', id)).toMatchObject({ asset: { ownerId: '45' } });
  });

  it.each(['', '042', '-1', '1.5', '1e3', 'user:43', '43\0', String(2n ** 63n)])(
    'rejects the owner id %j',
    async (ownerId) => {
      const id = await storeAsset(database, { ownerId: 47n });
      expect(await transfer(id, ownerId)).toMatchObject({
        errors: [{ extensions: { code: 'BAD_USER_INPUT', reason: 'OWNER_ID_INVALID', path: ['ownerId'] } }],
      });
      await api.query(`mutation ($id: ID!) { purgeAsset(id: $id) }`, { id }, '47');
    },
  );

  it.each(['no id', randomUUID(), '\0'])('answers NOT_FOUND for the asset %j', async (id) => {
    expect(await transfer(id, '48')).toMatchObject(refused('NOT_FOUND', 'ASSET_NOT_FOUND'));
  });

  it('answers QUOTA_EXCEEDED when the new owner has no room', async () => {
    for (let count = 0; count < 2; count++) await storeAsset(database, { ownerId: 49n });
    const id = await storeAsset(database, { ownerId: 50n });
    expect(await transfer(id, '49')).toMatchObject(refused('QUOTA_EXCEEDED', 'QUOTA_EXCEEDED'));
    expect(await seenBy('50', id)).toMatchObject({ asset: { ownerId: '50' } });
  });

  it('answers CONFLICT for an upload that has not finished', async () => {
    const input = `{ filename: "f", mimeType: "text/plain", sizeBytes: 6, checksumSha256: "${'ab'.repeat(32)}" }`;
    const { data } = await api.query(
      `mutation { requestUpload(input: ${input}) { asset { id } } }`,
      {},
      '51',
    );
    const { id } = (data!.requestUpload as { asset: { id: string } }).asset;
    expect(await transfer(id, '52')).toMatchObject(refused('CONFLICT', 'UPLOAD_UNFINISHED'));
  });

  it('ends the subscriptions of the former owner', async () => {
    const id = await storeAsset(database, { ownerId: 53n });
    const client = createClient({
      url: `ws://127.0.0.1:${api.port}/graphql`,
      webSocketImpl: WebSocket,
      connectionParams: { authorization: `Bearer ${await api.token('53')}` },
      retryAttempts: 0,
    });
    try {
      const owners: unknown[] = [];
      let isComplete = false;
      client.subscribe<{ assetChanged: { ownerId: string } }>(
        { query: `subscription ($id: ID!) { assetChanged(id: $id) { ownerId } }`, variables: { id } },
        {
          next: ({ data }) => owners.push(data!.assetChanged.ownerId),
          error: (error) => owners.push(error),
          complete: () => (isComplete = true),
        },
      );
      await until('the first state', () => (owners.length > 0 ? true : null));
      await transfer(id, '54');
      await until('the end', () => (isComplete ? true : null));
      expect(owners).toEqual(['53']);
    } finally {
      await client.dispose();
    }
  });

  it('copies the bytes with DEDUPE_SCOPE=owner', async () => {
    await using alone = await TestApi.start({ DEDUPE_SCOPE: 'owner' });
    const { prisma } = alone.app.get(Database);
    const id = await storeAsset(alone.app.get(Database), { ownerId: 42n });
    expect(await transfer(id, '43', alone)).toMatchObject(refused('CONFLICT', 'BYTES_NOT_COPYABLE'));
    const { bucket, objectKey, checksumSha256 } = await prisma.mediaAsset.findUniqueOrThrow({
      where: { assetId: id },
    });
    const { version } = await alone.emulators.put({ bucket, key: objectKey }, Buffer.alloc(1_000), {
      contentType: 'application/octet-stream',
    });
    await prisma.objectCopy.updateMany({ data: { version } });
    expect((await transfer(id, '43', alone)).errors).toBeUndefined();
    expect(await prisma.mediaAsset.findUnique({ where: { assetId: id } })).toMatchObject({
      ownerId: 43n,
      objectKey: `content/43/${checksumSha256}`,
    });
    expect(
      await alone.query(`query ($id: ID!) { asset(id: $id) { downloadUrl { url } } }`, { id }, '43'),
    ).toMatchObject({
      data: { asset: { downloadUrl: { url: expect.stringContaining(`content/43/${checksumSha256}`) } } },
    });
  });
});
