import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import sharp from 'sharp';
import { Database } from '#libs/database';
import {
  type Answer,
  requestFor,
  schemaOf,
  snapshot,
  storeAsset,
  TestApi,
  TestWorker,
  until,
} from '#libs/testing';
import { albums as feature } from './index.js';

const CREATE = `mutation ($title: String!, $idempotencyKey: String) {
  createAlbum(title: $title, idempotencyKey: $idempotencyKey) { id title ownerId itemCount cover { id } } }`;
const ADD = `mutation ($id: ID!, $assetIds: [ID!]!) { addToAlbum(id: $id, assetIds: $assetIds) { itemCount cover { id } } }`;
const REMOVE = `mutation ($id: ID!, $assetIds: [ID!]!) { removeFromAlbum(id: $id, assetIds: $assetIds) { itemCount cover { id } } }`;
const SHARE = `mutation ($id: ID!, $principal: String!, $expiresAt: DateTime) {
  shareAlbum(id: $id, principal: $principal, expiresAt: $expiresAt) { shares { principal expiresAt } } }`;
const UNSHARE = `mutation ($id: ID!, $principal: String!) { unshareAlbum(id: $id, principal: $principal) { shares { principal } } }`;
const DELETE = `mutation ($id: ID!) { deleteAlbum(id: $id) }`;
const ALBUM = `query ($id: ID!) { album(id: $id) { title shares { principal } items { nodes { asset { id } } } } }`;
const LIST = `query ($scope: AlbumScope, $first: Int, $after: String, $last: Int, $before: String) {
  albums(scope: $scope, first: $first, after: $after, last: $last, before: $before) {
    nodes { id } pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } }`;
const ASSET = `query ($id: ID!) { asset(id: $id) { id viewerPermissions acl { principal permission } albums { id } downloadUrl { url } } }`;
const UPLOAD = `mutation ($input: RequestUploadInput!) { requestUpload(input: $input) {
  asset { id } upload { httpMethod url headers { name value } } } }`;

const reasonsOf = ({ errors = [] }: Answer) => errors.map(({ extensions }) => extensions.reason);

it('adds the committed types and fields to the schema, by its rules', async () => {
  const { additions, problems } = await schemaOf([feature]);
  expect(problems).toEqual([]);
  expect(additions).toBe(snapshot(new URL('../schema.graphql', import.meta.url), additions));
});

/** Real: PostgreSQL, storage, Pub/Sub, the queue, the api and the worker. */
describe('albums', () => {
  let api: TestApi;
  let worker: TestWorker;
  let database: Database;
  beforeAll(async () => {
    api = await TestApi.start({ ALBUMS_MAX_ITEMS: '3' }, [feature]);
    worker = await TestWorker.start(api, { ALBUMS_MAX_ITEMS: '3', SCANNER_REQUIRED: 'false' }, [feature]);
    database = worker.app.get(Database);
  });
  afterAll(async () => {
    await worker?.[Symbol.asyncDispose]();
    await api?.[Symbol.asyncDispose]();
  });

  const create = async (title: string, subject = '42', idempotencyKey?: string) => {
    const { data, errors } = await api.query(CREATE, { title, idempotencyKey }, subject);
    expect(errors).toBeUndefined();
    return data!.createAlbum as { id: string; title: string; ownerId: string };
  };
  /** Ids of the assets that a caller sees in an album; null if the caller does not see the album. */
  const seen = async (id: string, subject: string, claims = {}) => {
    const { data, errors } = await api.query(ALBUM, { id }, subject, claims);
    expect(errors).toBeUndefined();
    const album = data!.album as { items: { nodes: { asset: { id: string } | null }[] } } | null;
    return album && album.items.nodes.map(({ asset }) => asset?.id ?? null);
  };
  const asset = async (id: string, subject: string, claims = {}) =>
    (await api.query(ASSET, { id }, subject, claims)).data!.asset as Record<string, unknown> | null;

  it('creates one album for an idempotency key', async () => {
    const album = await create('  Summer ', '42', 'key');
    expect(album).toMatchObject({ title: 'Summer', ownerId: '42', itemCount: 0, cover: null });
    expect((await create('Winter', '42', 'key')).id).toBe(album.id);
    expect((await create('Summer', '43', 'key')).id).not.toBe(album.id);
  });

  it.each(['', ' ', 'x'.repeat(201), 'a\nb'])('refuses the title %j', async (title) => {
    expect(reasonsOf(await api.query(CREATE, { title }))).toEqual(['ALBUMS_TITLE_INVALID']);
  });

  it('lists albums in both directions, by pages', async () => {
    const ids: string[] = [];
    for (const title of ['1', '2', '3']) ids.unshift((await create(title, '50')).id);
    const page = async (variables: object) => {
      const { data } = await api.query(LIST, variables, '50');
      const { nodes, pageInfo } = data!.albums as {
        nodes: { id: string }[];
        pageInfo: { endCursor: string; startCursor: string };
      };
      return { ids: nodes.map(({ id }) => id), ...pageInfo };
    };
    const first = await page({ first: 2 });
    expect(first).toMatchObject({ ids: ids.slice(0, 2), hasNextPage: true, hasPreviousPage: false });
    const second = await page({ first: 2, after: first.endCursor });
    expect(second).toMatchObject({ ids: ids.slice(2), hasNextPage: false, hasPreviousPage: true });
    expect(await page({ last: 1, before: second.startCursor })).toMatchObject({ ids: [ids[1]] });
    expect((await page({ scope: 'SHARED' })).ids).toEqual([]);
  });

  it('contains images of its owner, each once, up to its maximum', async () => {
    const { id } = await create('Mine');
    const [first, second, third, fourth] = await Promise.all(
      Array.from({ length: 4 }, () => storeAsset(database)),
    );
    const foreign = await storeAsset(database, { ownerId: 43n, readers: ['user:42'] });
    const add = (...assetIds: unknown[]) => api.query(ADD, { id, assetIds });
    expect((await add(first, second)).data!.addToAlbum).toEqual({ itemCount: 2, cover: { id: second } });
    expect((await add(second, third)).data!.addToAlbum).toEqual({ itemCount: 3, cover: { id: second } });
    expect(reasonsOf(await add(fourth))).toEqual(['ALBUMS_FULL']);
    expect(reasonsOf(await add(foreign))).toEqual(['ALBUMS_OWNERS_ASSETS_ONLY']);
    expect(reasonsOf(await add('no asset'))).toEqual(['ASSET_NOT_FOUND']);
    expect(reasonsOf(await add(...Array.from({ length: 101 }, () => first)))).toEqual([
      'ALBUMS_TOO_MANY_ASSETS',
    ]);
    expect(await seen(id, '42')).toEqual([third, second, first]);
    const removed = await api.query(REMOVE, { id, assetIds: [second] });
    expect(removed.data!.removeFromAlbum).toEqual({ itemCount: 2, cover: { id: third } });
  });

  it('reads the items of all albums of an operation in one statement for each direction', async () => {
    const ids: Record<string, string[]> = {};
    for (const title of ['1', '2', '3']) {
      const { id } = await create(title, '51');
      const assets = await Promise.all([1, 2, 3].map(() => storeAsset(database, { ownerId: 51n })));
      expect((await api.query(ADD, { id, assetIds: assets }, '51')).errors).toBeUndefined();
      ids[title] = assets;
    }
    const page = (title: string, ...indexes: number[]) => ({
      nodes: indexes.map((index) => ({ asset: { id: ids[title]![index] } })),
    });
    const statements = jest.spyOn(api.app.get(Database), 'query');
    const { data } = await api.query(
      `{ albums { nodes { title
          newest: items(first: 2) { nodes { asset { id } } }
          oldest: items(last: 1) { nodes { asset { id } } } } } }`,
      {},
      '51',
    );
    expect(data!.albums).toEqual({
      nodes: ['3', '2', '1'].map((title) => ({
        title,
        newest: page(title, 2, 1),
        oldest: page(title, 0),
      })),
    });
    const names = statements.mock.calls.map(([{ name }]) => name);
    expect(names.filter((name) => name.startsWith('albums_list_items')).sort()).toEqual([
      'albums_list_items_asc',
      'albums_list_items_desc',
    ]);
    statements.mockRestore();
  });

  it('loses an asset whose bytes were replaced by those of another kind of file', async () => {
    const { id } = await create('Replaced');
    const [kept, replaced] = await Promise.all([storeAsset(database), storeAsset(database)]);
    await api.query(ADD, { id, assetIds: [kept, replaced] });
    const write = (assetId: string) =>
      database.pool.query(
        `insert into domain_events (type, asset_id, owner_id) values ('asset.replaced', $1, 42)`,
        [assetId],
      );
    await database.prisma.mediaAsset.update({
      where: { assetId: replaced },
      data: { mimeType: 'application/pdf' },
    });
    for (const assetId of [kept, replaced]) await write(assetId);
    await until('the asset is removed', async () => (await seen(id, '42'))?.length === 1 || null);
    expect(await seen(id, '42')).toEqual([kept]);
    const grants = { where: { assetId: replaced, principal: `albums:${id}` } };
    expect(await database.prisma.assetAcl.count(grants)).toBe(0);
  });

  it('is hidden from others, who cannot change it', async () => {
    const { id } = await create('Private');
    expect(await seen(id, '43')).toBeNull();
    for (const [operation, more] of [
      [ADD, { assetIds: [] }],
      [REMOVE, { assetIds: [] }],
      [SHARE, { principal: 'user:43' }],
      [UNSHARE, { principal: 'user:43' }],
    ] as const) {
      expect(reasonsOf(await api.query(operation, { id, ...more }, '43'))).toEqual(['ALBUMS_NOT_FOUND']);
    }
    await api.query(SHARE, { id, principal: 'user:43' });
    expect(await seen(id, '43')).toEqual([]);
    expect(reasonsOf(await api.query(ADD, { id, assetIds: [] }, '43'))).toEqual(['ALBUMS_OWNER_ONLY']);
    expect(reasonsOf(await api.query(DELETE, { id }, '43'))).toEqual(['ALBUMS_OWNER_ONLY']);
  });

  it.each([
    ['user:44', '44', {}],
    ['group:family', '45', { groups: ['family'] }],
    ['*', '46', {}],
  ])('shared with %s gives access to its assets until it is unshared', async (principal, subject, claims) => {
    const { id } = await create('Shared');
    const assetId = await storeAsset(database);
    await api.query(ADD, { id, assetIds: [assetId] });
    expect(await asset(assetId, subject, claims)).toBeNull();

    await api.query(SHARE, { id, principal });
    expect(await seen(id, subject, claims)).toEqual([assetId]);
    expect(await asset(assetId, subject, claims)).toEqual({
      id: assetId,
      viewerPermissions: ['READ'],
      acl: [],
      albums: [{ id }],
      downloadUrl: { url: expect.stringContaining('http') },
    });
    const list = await api.query(LIST, { scope: 'SHARED' }, subject, claims);
    expect(list.data!.albums).toMatchObject({ nodes: [{ id }] });

    await api.query(UNSHARE, { id, principal });
    expect(await seen(id, subject, claims)).toBeNull();
    expect(await asset(assetId, subject, claims)).toBeNull();
  });

  it('ends a share at its expiry', async () => {
    const { id } = await create('For a while');
    const assetId = await storeAsset(database);
    await api.query(ADD, { id, assetIds: [assetId] });
    await api.query(SHARE, { id, principal: 'user:47', expiresAt: '2020-01-01T00:00:00Z' });
    expect(await seen(id, '47')).toBeNull();
    expect(await asset(assetId, '47')).toBeNull();
    await api.query(SHARE, { id, principal: 'user:47', expiresAt: '2999-01-01T00:00:00Z' });
    expect(await asset(assetId, '47')).toMatchObject({ id: assetId });
  });

  it('hides items whose grant expired, and deleted ones, from readers', async () => {
    const { id } = await create('Partly');
    const ids = [await storeAsset(database), await storeAsset(database), await storeAsset(database)];
    await api.query(ADD, { id, assetIds: ids });
    await api.query(SHARE, { id, principal: 'user:49' });
    expect(await seen(id, '49')).toEqual(ids.toReversed());
    await database.prisma.assetAcl.updateMany({
      where: { assetId: ids[0] },
      data: { expiresAt: new Date('2026-01-01') },
    });
    await api.query(`mutation ($id: ID!) { deleteAsset(id: $id) { id } }`, { id: ids[1] });
    expect(await seen(id, '49')).toEqual([ids[2], null, null]);
    expect(await seen(id, '42')).toEqual(ids.toReversed());
  });

  it('removes access with an item, and with the album', async () => {
    const { id } = await create('Short');
    const [first, second] = [await storeAsset(database), await storeAsset(database)];
    await api.query(ADD, { id, assetIds: [first, second] });
    await api.query(SHARE, { id, principal: 'user:48' });
    await api.query(REMOVE, { id, assetIds: [first] });
    expect(await asset(first, '48')).toBeNull();
    expect(await asset(second, '48')).not.toBeNull();
    for (let call = 0; call < 2; call++) {
      expect((await api.query(DELETE, { id })).data).toEqual({ deleteAlbum: id });
    }
    expect(await asset(second, '48')).toBeNull();
    expect(await asset(second, '42')).toMatchObject({ albums: [], acl: [] });
  });

  it('accepts uploads of images into own albums only', async () => {
    const [mine, foreign] = [await create('Mine'), await create('Not mine', '43')];
    const ask = (mimeType: string, album: string) => {
      const metadata = [{ key: 'albums.id', value: album }];
      return api.query(UPLOAD, { input: requestFor('text', { mimeType, metadata }) });
    };
    expect(reasonsOf(await ask('text/plain', mine.id))).toEqual(['ALBUMS_IMAGES_ONLY']);
    expect(reasonsOf(await ask('image/png', foreign.id))).toEqual(['ALBUMS_UNKNOWN']);
    expect(reasonsOf(await ask('image/png', 'x'))).toEqual(['ALBUMS_UNKNOWN']);
    expect(reasonsOf(await ask('image/png', mine.id))).toEqual([]);
  });

  it('contains an upload that names it, with a cover variant, and replaces a purged cover', async () => {
    const { id } = await create('Uploads');
    const older = await storeAsset(database);
    await api.query(ADD, { id, assetIds: [older] });
    await api.query(REMOVE, { id, assetIds: [older] });
    const picture = await sharp({ create: { width: 900, height: 700, channels: 3, background: 'teal' } })
      .png()
      .toBuffer();
    const input = requestFor(picture, { mimeType: 'image/png', metadata: [{ key: 'albums.id', value: id }] });
    const { data } = await api.query(UPLOAD, { input });
    const { asset: uploaded, upload } = data!.requestUpload as {
      asset: { id: string };
      upload: { httpMethod: string; url: string; headers: { name: string; value: string }[] };
    };
    const headers = Object.fromEntries(upload.headers.map(({ name, value }) => [name, value]));
    expect((await fetch(upload.url, { method: upload.httpMethod, headers, body: picture })).status).toBe(200);

    const COVER = `query ($id: ID!) { album(id: $id) { itemCount cover { id variants { name width height } } } }`;
    const album = async () => (await api.query(COVER, { id })).data!.album as { itemCount: number };
    await until('the upload is in the album', async () => ((await album()).itemCount === 1 ? true : null));
    expect(await album()).toMatchObject({
      cover: {
        id: uploaded.id,
        variants: expect.arrayContaining([{ name: 'album-cover', width: 600, height: 600 }]),
      },
    });

    // A removed upload stays removed when it is restored: the event before the next one has been handled then.
    await api.query(REMOVE, { id, assetIds: [uploaded.id] });
    for (const change of ['deleteAsset', 'restoreAsset']) {
      const { errors } = await api.query(`mutation ($id: ID!) { ${change}(id: $id) { id } }`, {
        id: uploaded.id,
      });
      expect(errors).toBeUndefined();
    }
    await until('all events are handled', async () =>
      (await database.prisma.eventDelivery.count()) === 0 ? true : null,
    );
    expect(await album()).toEqual({ itemCount: 0, cover: null });

    await api.query(ADD, { id, assetIds: [uploaded.id] });
    await api.query(ADD, { id, assetIds: [older] });
    await api.query(`mutation ($id: ID!) { purgeAsset(id: $id) }`, { id: uploaded.id });
    await until('the cover is replaced', async () => {
      const { cover } = (await album()) as unknown as { cover: { id: string } | null };
      return cover?.id === older ? true : null;
    });
  });

  it('loses an asset whose owner changed, with its cover, and keeps it if the owner adds it again', async () => {
    const transfer = async (id: string, ownerId: string) => {
      const text = `mutation ($id: ID!, $ownerId: ID!) { transferAsset(id: $id, ownerId: $ownerId) { id } }`;
      const { errors } = await api.query(text, { id, ownerId }, '1', { scope: 'stowage.admin' });
      expect(errors).toBeUndefined();
    };
    const [mine, other, theirs] = [
      await create('Mine', '54'),
      await create('Other', '54'),
      await create('Theirs', '55'),
    ];
    const [kept, given] = [
      await storeAsset(database, { ownerId: 54n }),
      await storeAsset(database, { ownerId: 54n }),
    ];
    for (const id of [mine.id, other.id]) await api.query(ADD, { id, assetIds: [kept, given] }, '54');
    await api.query(SHARE, { id: mine.id, principal: 'user:56' }, '54');
    await transfer(given, '55');
    expect(await asset(given, '56')).toBeNull();
    await api.query(ADD, { id: theirs.id, assetIds: [given] }, '55');
    for (const { id } of [mine, other]) {
      await until('the asset has left the album', async () => {
        const { data } = await api.query(
          `query ($id: ID!) { album(id: $id) { itemCount cover { id } } }`,
          { id },
          '54',
        );
        const album = data!.album as { itemCount: number; cover: { id: string } | null };
        return album.itemCount === 1 && album.cover?.id === kept ? true : null;
      });
    }
    expect(await seen(theirs.id, '55')).toEqual([given]);
    expect(await asset(given, '55')).toMatchObject({ albums: [{ id: theirs.id }] });

    // The events of both transfers are handled after the asset was added to the album again.
    await transfer(given, '54');
    await api.query(ADD, { id: mine.id, assetIds: [given] }, '54');
    await until('all events are handled', async () =>
      (await database.prisma.eventDelivery.count()) === 0 ? true : null,
    );
    expect(await seen(mine.id, '54')).toEqual([given, kept]);
    expect(await seen(theirs.id, '55')).toEqual([]);
    expect(await asset(given, '56')).toMatchObject({ id: given });
  });

  it('forgets expired shares', async () => {
    const { id } = await create('Old shares');
    await api.query(SHARE, { id, principal: 'user:1', expiresAt: '2020-01-01T00:00:00Z' });
    await api.query(SHARE, { id, principal: 'user:2' });
    const name = 'albums.remove-expired-shares';
    for (const isDryRun of [true, false]) {
      const actions = [{ action: 'delete', subject: 'album_shares' }];
      expect(await worker.runTask(name, { isDryRun })).toMatchObject({ changed: 1, actions });
    }
    const { data } = await api.query(`query ($id: ID!) { album(id: $id) { shares { principal } } }`, { id });
    expect(data!.album).toEqual({ shares: [{ principal: 'user:2' }] });
  });
});
