import { afterAll, afterEach, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { createClient } from 'graphql-ws';
import { WebSocket } from 'ws';
import { Database } from '#libs/database';
import { ASSET_STATUSES, type AssetStatus } from '#libs/domain';
import { signJwt } from '../../../libs/testing/src/environment.js';
import { type StoredAsset, storeAsset } from '../../../libs/testing/src/stored-asset.js';
import { until } from '../../../libs/testing/src/until.js';
import { TestApi } from '../../../libs/testing/src/test-api.js';
import { IN_BACKGROUND } from '../../support/background-statements.js';

const CONTENTS = `properties { width height durationSeconds pageCount takenAt takenAtLocal cameraMake cameraModel
  hasLocation location { latitude longitude } title artist album thumbhash }
  variants { name mimeType width height sizeBytes downloadUrl { url } } variantsReason scannedBy`;
const ONE = `query ($id: ID!) { asset(id: $id) { status ${CONTENTS} } }`;
const PROPERTIES = {
  width: 4032,
  height: 3024,
  durationSeconds: 1.5,
  pageCount: 1,
  takenAt: '2026-07-01T10:00:00.000Z',
  takenAtLocal: '2026-07-01T12:00:00.250',
  cameraMake: 'Apple',
  cameraModel: 'iPhone 17',
  hasLocation: true,
  title: 'A title',
  artist: 'An artist',
  album: 'An album',
  thumbhash: '1QcSHQRnh493V4dIh4eXh1h4kJUI',
};
const LOCATION = { latitude: 52.520008, longitude: -13.404954 };
const IMAGE: StoredAsset = {
  properties: { ...PROPERTIES, takenAt: new Date(PROPERTIES.takenAt), ...LOCATION },
  variants: [{ name: 'small' }],
  readers: ['user:7'],
};
const ADMIN = { scope: 'stowage.admin' };

interface Shown {
  readonly status: AssetStatus;
  readonly properties: Record<string, unknown> | null;
  readonly variants: { readonly name: string; readonly downloadUrl: { readonly url: string } | null }[];
  readonly variantsReason: string | null;
  readonly scannedBy: string | null;
}

describe('asset contents in the API (real: PostgreSQL, HTTP, sockets)', () => {
  let api: TestApi;
  let database: Database;
  beforeAll(async () => {
    api = await TestApi.start();
    database = api.app.get(Database);
  });
  afterAll(() => api?.[Symbol.asyncDispose]());
  afterEach(() => void jest.restoreAllMocks());

  const show = async (id: string, subject = '42', claims = {}): Promise<Shown | null> => {
    const { data, errors } = await api.query(ONE, { id }, subject, claims);
    expect(errors).toBeUndefined();
    return data?.asset as Shown | null;
  };

  it('shows everything to the owner, all but location and instant to a reader, nothing to others', async () => {
    const id = await storeAsset(database, IMAGE);
    const own = await show(id);
    expect(own).toMatchObject({
      properties: { ...PROPERTIES, location: LOCATION },
      variants: [{ name: 'small', mimeType: 'image/webp', width: 320, height: 240, sizeBytes: 500 }],
      variantsReason: null,
      scannedBy: null,
    });
    const read = await show(id, '7');
    expect(read?.properties).toEqual({ ...PROPERTIES, takenAt: null, location: null });
    expect(read).toMatchObject({ scannedBy: null, variants: [{ name: 'small' }] });
    expect(await show(id, '8')).toBeNull();
    await database.prisma.assetAcl.deleteMany({ where: { assetId: id } });
    expect(await show(id, '7')).toBeNull();
  });

  it('shows the scanner and the instant but not the location to operators', async () => {
    const id = await storeAsset(database, IMAGE);
    const { properties, scannedBy } = (await show(id, '9', ADMIN))!;
    expect(scannedBy).toBe('ClamAV 1.4/27000');
    expect(properties).toEqual({ ...PROPERTIES, location: null });
    expect((await show(id, '42', ADMIN))?.properties).toMatchObject({ location: LOCATION });
  });

  it.each([
    ['the owner', {}, true],
    ['operators', ADMIN, false],
  ])('lists the capture times for %s', async (_, claims, isOwner) => {
    const ownerId = isOwner ? 62n : 63n;
    await storeAsset(database, { ...IMAGE, ownerId });
    const { data, errors } = await api.query(
      `query ($filter: AssetFilter) { assets(filter: $filter, orderBy: TAKEN_DESC) { nodes { ${CONTENTS} } } }`,
      { filter: { ownerId: String(ownerId) } },
      '62',
      claims,
    );
    expect(errors).toBeUndefined();
    const { takenAt, takenAtLocal } = PROPERTIES;
    expect(data!.assets).toMatchObject({
      nodes: [{ properties: { takenAt, takenAtLocal } }],
    });
  });

  it.each(ASSET_STATUSES)('shows the contents that are visible in status %s', async (status) => {
    const id = await storeAsset(database, { ...IMAGE, status });
    const { properties, variants, scannedBy } = (await show(id, '9', ADMIN))!;
    const isKept = status === 'READY' || status === 'DELETED';
    expect(properties !== null).toBe(isKept);
    expect(scannedBy !== null).toBe(isKept);
    expect(variants).toHaveLength(status === 'READY' ? 1 : 0);
  });

  it('reports why a READY image has no variants', async () => {
    const without = { ...IMAGE, variants: [], variantsReason: 'UNSUPPORTED_LAYOUT' } as const;
    expect(await show(await storeAsset(database, without), '7')).toMatchObject({
      variants: [],
      variantsReason: 'UNSUPPORTED_LAYOUT',
    });
    const deleted = await storeAsset(database, { ...without, status: 'DELETED' });
    expect(await show(deleted)).toMatchObject({ variantsReason: null });
  });

  it('returns no variant of an asset that is rejected after it was read', async () => {
    const id = await storeAsset(database, IMAGE);
    const query = database.query.bind(database);
    jest.spyOn(database, 'query').mockImplementation(async (statement, values) => {
      const rows = await query(statement, values);
      if (statement.name === 'assets_find') {
        await database.prisma.mediaAsset.update({ where: { assetId: id }, data: { status: 'REJECTED' } });
      }
      return rows;
    });
    expect(await show(id)).toMatchObject({ status: 'READY', properties: null, variants: [] });
  });

  it('shows no contents of an asset that was not inspected', async () => {
    const id = await storeAsset(database, { properties: null });
    expect(await show(id)).toMatchObject({ properties: null, variants: [] });
  });

  it('shows only stored variants, the newest of each name, narrowest first', async () => {
    const [older, newer] = [new Date('2026-01-01'), new Date('2026-02-01')];
    const id = await storeAsset(database, {
      variants: [
        { name: 'large', width: 1280, createdAt: older },
        { name: 'small', spec: 'new', width: 400, mimeType: 'image/avif', createdAt: newer },
        { name: 'small', spec: 'old', width: 320, createdAt: older },
        { name: 'small', spec: 'newest', width: 500, version: null, createdAt: new Date() },
        { name: 'b', width: 64 },
        { name: 'a', width: 64 },
        { name: 'unwritten', version: null },
      ],
    });
    const { variants } = (await show(id))!;
    expect(variants.map(({ name }) => name)).toEqual(['a', 'b', 'small', 'large']);
    expect(variants[2]).toMatchObject({ width: 400, mimeType: 'image/avif' });
  });

  it('signs a variant URL with the lifetime limits of asset URLs', async () => {
    const id = await storeAsset(database, IMAGE);
    const ask = (seconds: string) =>
      api.query(
        `{ asset(id: "${id}") { variants { downloadUrl(expiresInSeconds: ${seconds}) { url expiresAt } } } }`,
      );
    const lifeOf = (url: string) => new URL(url).searchParams.get('X-Goog-Expires');
    for (const [seconds, life] of Object.entries({ 60: '60', null: '900' })) {
      const { data } = await ask(seconds);
      const { variants } = data!.asset as Shown;
      expect(lifeOf(variants[0]!.downloadUrl!.url)).toBe(life);
    }
    const { errors } = await ask('3601');
    expect(errors).toMatchObject([{ extensions: { code: 'BAD_USER_INPUT', reason: 'EXPIRY_OUT_OF_RANGE' } }]);
  });

  it('reads the contents of a page in one statement, and only if they are requested', async () => {
    const ids = await Promise.all(
      Array.from({ length: 5 }, () => storeAsset(database, { ...IMAGE, ownerId: 60n })),
    );
    const statements = jest.spyOn(database.pool, 'query');
    const asked = async (query: string, variables = {}) => {
      statements.mockClear();
      const { errors } = await api.query(query, variables, '60');
      expect(errors).toBeUndefined();
      const names = statements.mock.calls.map(
        ([statement]) => (statement as unknown as { name: string }).name,
      );
      return names.filter((name) => !IN_BACKGROUND.test(name));
    };
    const [id] = ids;
    expect(await asked('query ($id: ID!) { asset(id: $id) { id status } }', { id })).toEqual(['assets_find']);
    expect(await asked(ONE, { id })).toEqual(['assets_find', 'assets_contents']);
    const pending = await storeAsset(database, { ...IMAGE, ownerId: 60n, status: 'PENDING' });
    expect(await asked(ONE, { id: pending })).toEqual(['assets_find']);
    expect(await asked(`{ assets { nodes { ${CONTENTS} } edges { node { ${CONTENTS} } } } }`)).toEqual([
      'assets_list_created_desc',
      'assets_contents',
    ]);
  });

  it('records the access to all assets of a page in one statement', async () => {
    const ids = await Promise.all(
      Array.from({ length: 3 }, () => storeAsset(database, { ...IMAGE, ownerId: 61n })),
    );
    const statements = jest.spyOn(database, 'query');
    const { errors } = await api.query(`{ assets { nodes { ${CONTENTS} } } }`, {}, '61');
    expect(errors).toBeUndefined();
    await until('access is recorded', async () => {
      const recorded = await database.prisma.mediaAsset.count({
        where: { assetId: { in: ids }, accessedAt: { not: null } },
      });
      return recorded === ids.length || null;
    });
    const updates = statements.mock.calls.filter(([{ name }]) => name === 'assets_note_access');
    expect(updates).toHaveLength(1);
  });

  it('sends the contents by subscription once the asset is READY', async () => {
    const id = await storeAsset(database, { ...IMAGE, status: 'PROCESSING' });
    const client = createClient({
      url: `ws://127.0.0.1:${api.port}/graphql`,
      webSocketImpl: WebSocket,
      connectionParams: { authorization: `Bearer ${await signJwt('7')}` },
      retryAttempts: 0,
    });
    try {
      const states: Shown[] = [];
      client.subscribe<{ assetChanged: Shown }>(
        {
          query: `subscription ($id: ID!) { assetChanged(id: $id) { status ${CONTENTS} } }`,
          variables: { id },
        },
        {
          next: ({ data }) => states.push(data!.assetChanged),
          error: () => undefined,
          complete: () => undefined,
        },
      );
      await until('the first state', () => states.length === 1 || null);
      await database.prisma.$transaction([
        database.prisma.mediaAsset.update({
          where: { assetId: id },
          data: { status: 'READY', version: { increment: 1 } },
        }),
        database.prisma.domainEvent.create({ data: { type: 'asset.ready', assetId: id, ownerId: 42n } }),
      ]);
      await until('the change', () => states.length === 2 || null);
      expect(states).toMatchObject([
        { status: 'PROCESSING', properties: null, variants: [] },
        {
          status: 'READY',
          properties: {
            cameraMake: 'Apple',
            takenAt: null,
            takenAtLocal: PROPERTIES.takenAtLocal,
            location: null,
          },
          variants: [{ name: 'small' }],
        },
      ]);
      expect(states[1]!.variants[0]!.downloadUrl).not.toBeNull();
    } finally {
      await client.dispose();
    }
  });
});
