import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { createClient } from 'graphql-ws';
import { WebSocket } from 'ws';
import { Database } from '#libs/database';
import { signJwt } from '../../../libs/testing/src/environment.js';
import { storeAsset } from '../../../libs/testing/src/stored-asset.js';
import { type Answer, TestApi } from '../../../libs/testing/src/test-api.js';
import { requestFor } from '../../../libs/testing/src/world.js';
import { guideOperations } from '../../support/api-guide.js';

const OWNER = '42';
const READER = '7';
const OPERATOR = '1000';

interface Asset {
  readonly id: string;
  readonly status: string;
}
interface Requested {
  readonly asset: Asset & { readonly replaces?: string };
  readonly upload: { readonly protocol: string; readonly url: string } | null;
}

describe('the operations of docs/api.md (real: the api, PostgreSQL, storage emulator, sockets)', () => {
  const operations = new Map(guideOperations().map(({ name, text }) => [name, text]));
  const executed = new Set<string>();
  let api: TestApi;
  let database: Database;
  beforeAll(async () => {
    api = await TestApi.start();
    database = api.app.get(Database);
  });
  afterAll(() => api?.[Symbol.asyncDispose]());

  function textOf(name: string): string {
    executed.add(name);
    return operations.get(name)!;
  }
  const ask = (name: string, variables: object = {}, subject = OWNER): Promise<Answer> =>
    api.query(textOf(name), variables, subject, subject === OPERATOR ? { scope: 'stowage.admin' } : {});

  /** The value of the only root field. */
  async function run<Value>(name: string, variables: object = {}, subject = OWNER): Promise<Value> {
    const { data, errors } = await ask(name, variables, subject);
    expect(errors).toBeUndefined();
    return Object.values(data!)[0] as Value;
  }

  /** The equal values of a call and its repeat. */
  async function twice<Value>(name: string, variables: object, subject = OWNER): Promise<Value> {
    const first = await run<Value>(name, variables, subject);
    expect(await run(name, variables, subject)).toEqual(first);
    return first;
  }

  const reasonOf = async (name: string, variables: object, subject = OWNER) =>
    (await ask(name, variables, subject)).errors?.[0]?.extensions.reason;

  /** The first value of a subscription, or the errors in its place. */
  async function firstOf(name: string, variables: Record<string, unknown>): Promise<unknown> {
    const client = createClient({
      url: `ws://127.0.0.1:${api.port}/graphql`,
      webSocketImpl: WebSocket,
      connectionParams: { authorization: `Bearer ${await signJwt(OWNER)}` },
      retryAttempts: 0,
    });
    try {
      for await (const { data, errors } of client.iterate({ query: textOf(name), variables })) {
        return errors ?? Object.values(data as object)[0];
      }
      throw new Error(`${name} ended without a value`);
    } finally {
      await client.dispose();
    }
  }

  it('request an upload, whose repeats return what the guide says', async () => {
    expect(await run('Me')).toMatchObject({ id: OWNER, principals: ['user:42', '*'] });
    const input = requestFor('first', { idempotencyKey: 'first' });
    const { asset } = await run<Requested>('RequestUpload', { input });
    expect(await run('RequestUpload', { input })).toMatchObject({ asset, upload: { protocol: 'PUT' } });
    const other = { ...input, filename: 'other.txt' };
    expect(await reasonOf('RequestUpload', { input: other })).toBe('IDEMPOTENCY_KEY_REUSED');
    const { asset: another } = await run<Requested>('RequestUpload', { input: requestFor('first') });
    expect(another.id).not.toBe(asset.id);

    const assetId = asset.id;
    expect(await run('RenewUpload', { assetId })).toMatchObject({ protocol: 'PUT', httpMethod: 'PUT' });
    expect(await twice('CompleteUpload', { assetId })).toEqual(asset);
    expect(await firstOf('AssetChanged', { id: assetId })).toMatchObject(asset);
    const missing = randomUUID();
    expect(await firstOf('AssetsChanged', { ids: [missing, assetId] })).toMatchObject(asset);
    expect(await firstOf('AssetsChanged', { ids: [missing] })).toMatchObject([
      { extensions: { code: 'NOT_FOUND', reason: 'ASSET_NOT_FOUND' } },
    ]);
    expect(await twice('CancelUpload', { assetId })).toEqual({ id: assetId, status: 'CANCELLED' });
    expect(await run('AssetStatus', { id: assetId })).toMatchObject({ status: 'CANCELLED' });
    expect(await reasonOf('RenewUpload', { assetId })).toBe('UPLOAD_NOT_PENDING');
    expect(await run('RequestUpload', { input })).toEqual({
      asset: { id: assetId, status: 'CANCELLED' },
      upload: null,
    });
  });

  it('upload a file again by a key of another user, of a purged asset and of a transferred asset', async () => {
    const input = requestFor('again', { idempotencyKey: 'again' });
    const ids: string[] = [];
    const request = async (subject?: string) => {
      const { asset, upload } = await run<Requested>('RequestUpload', { input }, subject);
      expect(upload).not.toBeNull();
      ids.push(asset.id);
      return asset.id;
    };
    await request(READER);
    const purged = await request();
    await run('CancelUpload', { assetId: purged });
    await run('PurgeAsset', { id: purged });
    const transferred = await request();
    await run('CancelUpload', { assetId: transferred });
    await run('TransferAsset', { id: transferred, ownerId: '10' }, OPERATOR);
    await request();
    expect(new Set(ids).size).toBe(4);
  });

  it('request a batch, whose RESUMABLE items keep their session', async () => {
    const inputs = [
      requestFor('batch', { method: 'RESUMABLE', idempotencyKey: 'batch' }),
      requestFor('batch', { sizeBytes: -1 }),
    ];
    const [accepted, refused] = await run<[Requested, object]>('RequestUploads', { inputs });
    expect(accepted.upload).toMatchObject({ protocol: 'GCS_RESUMABLE', headers: [] });
    expect(refused).toMatchObject({ index: 1, code: 'BAD_USER_INPUT', path: ['inputs', '1', 'sizeBytes'] });
    const [again] = await run<[Requested]>('RequestUploads', { inputs });
    expect(again).toEqual(accepted);
    const { url } = await run<{ url: string }>('RenewUpload', { assetId: accepted.asset.id });
    expect(url).toBe(accepted.upload!.url);

    const send = (range: string, body?: string) =>
      fetch(url, { method: 'PUT', headers: { 'content-range': `bytes ${range}` }, body });
    expect((await send('*/5')).status).toBe(308);
    expect((await send('0-4/5', 'batch')).status).toBe(200);
    // The session is complete: a repeat, and a question for its progress, both say so.
    expect((await send('0-4/5', 'batch')).status).toBe(200);
    expect((await send('*/5')).status).toBe(200);
    const completed = await run<Asset>('CompleteUpload', { assetId: accepted.asset.id });
    expect(completed.status).toBe('PROCESSING');
    expect(await reasonOf('CancelUpload', { assetId: accepted.asset.id })).toBe('UPLOAD_NOT_PENDING');
  });

  it('show an asset and list assets in both directions', async () => {
    const id = await storeAsset(database, {
      createdAt: new Date('2026-01-01'),
      properties: { width: 3, height: 2, takenAtLocal: '2026-07-01T12:00:00' },
      variants: [{ name: 'small' }],
    });
    expect(await run('ShowAsset', { id })).toMatchObject({
      viewerPermissions: ['READ', 'WRITE', 'DELETE'],
      properties: { width: 3, takenAtLocal: '2026-07-01T12:00:00' },
      variants: [{ name: 'small', downloadUrl: { url: expect.any(String) } }],
    });
    const { downloadUrl } = await run<{ downloadUrl: { url: string; expiresAt: string } }>('DownloadUrl', {
      id,
      seconds: 60,
    });
    expect(Date.parse(downloadUrl.expiresAt) - Date.now()).toBeLessThan(90_000);
    expect(await run('Gallery')).toMatchObject({ nodes: [{ id, variants: [{ width: 320 }] }] });

    const list = { orderBy: 'CREATED_DESC' };
    const { pageInfo } = await run<{ pageInfo: { endCursor: string } }>('Gallery', list);
    const newer = await storeAsset(database, { createdAt: new Date('2026-01-02') });
    const page = await run<{ nodes: Asset[] }>('Newer', { before: pageInfo.endCursor });
    expect(page).toMatchObject({ pageInfo: { hasPreviousPage: false } });
    expect(page.nodes.at(-1)).toMatchObject({ id: newer });
  });

  it('change an asset, also repeatedly', async () => {
    const id = await storeAsset(database);
    const input = { id, filename: 'Beach.jpg', setMetadata: [{ key: 'live-photo', value: 'a' }] };
    expect(await twice('UpdateAsset', { input })).toEqual({
      id,
      filename: 'Beach.jpg',
      metadata: [{ key: 'live-photo', value: 'a' }],
    });
    const inputs = [
      { id, filename: 'Dunes.jpg' },
      { id: '00000000-0000-7000-8000-000000000000', filename: 'x' },
    ];
    expect(await twice('UpdateAssets', { inputs })).toMatchObject([
      { index: 0, asset: { id, filename: 'Dunes.jpg' }, code: null },
      { index: 1, asset: null, code: 'NOT_FOUND', reason: 'ASSET_NOT_FOUND' },
    ]);
    const paired = { filter: { metadata: [{ key: 'live-photo', value: 'a' }] }, orderBy: 'CREATED_DESC' };
    expect(await run('Gallery', paired)).toMatchObject({ nodes: [{ id }] });

    const replacement = { id, input: requestFor('new bytes', { idempotencyKey: 'replacement' }) };
    const { asset } = await run<Requested>('ReplaceUpload', replacement);
    expect(asset).toMatchObject({ status: 'PENDING', replaces: id });
    expect(asset.id).not.toBe(id);
    expect(await run('ReplaceUpload', replacement)).toMatchObject({ asset, upload: { protocol: 'PUT' } });
  });

  it('share an asset with a user, until it is revoked', async () => {
    const id = await storeAsset(database, { properties: { latitude: 1, longitude: 2, hasLocation: true } });
    const grant = { assetId: id, principal: `user:${READER}`, permissions: ['WRITE'] };
    const acl = [{ principal: 'user:7', permission: 'WRITE', expiresAt: null }];
    expect(await twice('GrantAccess', { input: grant })).toEqual({ id, acl });
    expect(await run('ShowAsset', { id }, READER)).toMatchObject({
      viewerPermissions: ['READ', 'WRITE'],
      properties: { hasLocation: true, location: null, takenAt: null },
    });
    const shared = { scope: 'SHARED', orderBy: 'CREATED_DESC' };
    expect(await run('Gallery', shared, READER)).toMatchObject({ nodes: [{ id }] });
    // READ alone is not granted, and WRITE includes it.
    const { principal } = grant;
    const revoked = await twice('RevokeAccess', { input: { assetId: id, principal, permissions: ['READ'] } });
    expect(revoked).toMatchObject({ acl: [{ permission: 'WRITE' }] });
    expect(await twice('RevokeAccess', { input: { assetId: id, principal } })).toEqual({ id, acl: [] });
    expect(await run('ShowAsset', { id }, READER)).toBeNull();
    expect(await reasonOf('UpdateAsset', { input: { id, filename: 'x' } }, READER)).toBe('ASSET_NOT_FOUND');
  });

  it('delete, restore and purge assets', async () => {
    const id = await storeAsset(database);
    expect(await twice('DeleteAsset', { id })).toEqual({ id, status: 'DELETED' });
    expect(await run('Trash')).toMatchObject({ nodes: [{ id, deletedAt: expect.any(String) }] });
    expect(await twice('RestoreAsset', { id })).toEqual({ id, status: 'READY' });
    expect(await twice('DeleteAssets', { ids: [id] })).toMatchObject([{ asset: { status: 'DELETED' } }]);
    expect(await run('PurgeAsset', { id })).toBe(id);
    expect(await reasonOf('PurgeAsset', { id })).toBe('ASSET_NOT_FOUND');
  });

  it('serve operators, and refuse others', async () => {
    const id = await storeAsset(database);
    expect(await reasonOf('AdminAssets', {})).toBe('OPERATORS_ONLY');
    const listed = await run<{ assets: { nodes: { id: string }[] } }>('AdminAssets', {}, OPERATOR);
    expect(listed.assets.nodes[0]).toMatchObject({ id, ownerId: OWNER });
    const limits = { ownerId: '8', limitBytes: 5000, limitAssets: 5 };
    expect(await twice('SetQuota', limits, OPERATOR)).toMatchObject({ limitBytes: 5000 });
    expect(await twice('TransferAsset', { id, ownerId: '8' }, OPERATOR)).toEqual({ id, ownerId: '8' });
    expect(await run('AdminQuota', { ownerId: '8' }, OPERATOR)).toMatchObject({ quota: { usedBytes: 1000 } });
    const question = { assetId: id, principals: ['user:8'], permission: 'READ' };
    expect(await run('ExplainAccess', question, OPERATOR)).toEqual({
      explainAccess: { allowed: true, because: ['OWNER'] },
    });
    expect(await twice('RevokeTokens', { ownerId: '9', before: new Date().toISOString() }, OPERATOR)).toBe(
      true,
    );

    const data = { source: 'process-asset', error: 'error', attempts: 5, payload: '{}' };
    const letter = String((await database.prisma.deadLetter.create({ data })).id);
    expect(await run('DeadLetters', {}, OPERATOR)).toMatchObject({
      deadLetters: { nodes: [{ id: letter }] },
    });
    expect(await twice('DiscardDeadLetter', { id: letter }, OPERATOR)).toMatchObject({ state: 'DISCARDED' });
    expect(await reasonOf('RetryDeadLetter', { id: letter }, OPERATOR)).toBe('DEAD_LETTER_CLOSED');
  });

  it('run tasks for operators, and confirm a run that waits', async () => {
    const { prisma } = database;
    const variables = { task: 'expire-uploads' };
    expect(await reasonOf('RunTask', variables)).toBe('OPERATORS_ONLY');
    expect(await reasonOf('RunTask', variables, OPERATOR)).toBe('TASK_NOT_FOUND');
    // Workers declare their tasks, and none is running.
    const declared = { name: 'expire-uploads', schedule: 'every 10 s', coveredUntil: new Date() };
    await prisma.scheduledTask.create({ data: declared });
    const { id } = await twice<{ id: string }>('RunTask', variables, OPERATOR);
    expect(await run('FollowTaskRun', { id }, OPERATOR)).toMatchObject({ taskRun: { status: 'QUEUED' } });
    expect(await reasonOf('ConfirmTaskRun', { id }, OPERATOR)).toBe('TASK_RUN_NOT_WAITING');

    const waiting = { task: 'expire-uploads', dryRun: false, state: 'WAITING', planned: 5n } as const;
    const { id: second } = await prisma.taskRun.create({ data: waiting });
    const queued = { id: String(second), status: 'QUEUED' };
    expect(await twice('ConfirmTaskRun', { id: queued.id }, OPERATOR)).toEqual(queued);
    expect(await run('TaskRuns', variables, OPERATOR)).toMatchObject({
      taskRuns: [
        { ...queued, dryRun: false },
        { id, dryRun: true },
      ],
    });
    expect(await reasonOf('ConfirmTaskRun', { id: '0' }, OPERATOR)).toBe('TASK_RUN_NOT_FOUND');
  });

  it('list integrity findings for operators', async () => {
    const data = { problem: 'QUOTA_DRIFT', subject: 'owner 42', detail: 'd', foundAt: new Date() } as const;
    await database.prisma.integrityFinding.create({ data });
    expect(await run('IntegrityFindings', {}, OPERATOR)).toMatchObject({
      integrityFindings: { nodes: [{ problem: 'QUOTA_DRIFT', subject: 'owner 42', repaired: false }] },
    });
  });

  it('have all been run by the tests above', () => {
    expect([...executed].sort()).toEqual([...operations.keys()].sort());
  });
});
