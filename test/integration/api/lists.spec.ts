import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { Database } from '#libs/database';
import { cursorsOf } from '#libs/graphql';
import { MAX_EXAMINED } from '../../../libs/assets/src/asset-list-entries.js';
import { storeAsset } from '../../../libs/testing/src/stored-asset.js';
import { TestApi } from '../../../libs/testing/src/test-api.js';
import { AssetLists, type AssetPage } from '../../support/asset-lists.js';

const minute = (n: number) => new Date(Date.UTC(2026, 0, 1, 0, n));
const year = (n: number) => `${n}-01-01T00:00:00`;

describe('lists by content properties (real: PostgreSQL, HTTP)', () => {
  let api: TestApi;
  let database: Database;
  beforeAll(async () => {
    api = await TestApi.start();
    database = api.app.get(Database);
    // In order of creation, which differs from the order of capture times.
    const pictures = [
      ['a', { cameraMake: 'Apple', cameraModel: 'iPhone', hasLocation: true, takenAtLocal: year(2020) }],
      ['b', { cameraMake: 'APPLE', cameraModel: 'iPad', hasLocation: false, takenAtLocal: year(1950) }],
      ['c', { cameraMake: 'apple', cameraModel: 'iphone', hasLocation: true, takenAtLocal: year(2010) }],
      ['d', { cameraMake: 'Canon', cameraModel: 'EOS', hasLocation: true, takenAtLocal: year(2010) }],
      ['e', { title: 'Füße', artist: 'ÄRZTE', album: '100% "Live"' }],
      ['f', { title: 'füße', artist: 'Ärzte', album: '100%' }],
      ['g', {}],
    ] as const;
    for (const [index, [filename, properties]] of pictures.entries()) {
      await storeAsset(database, { filename, properties, createdAt: minute(index) });
    }
    const apple = { cameraMake: 'Apple', takenAtLocal: year(2015) };
    await storeAsset(database, { filename: 'deleted', status: 'DELETED', properties: apple });
    await storeAsset(database, { filename: "another owner's", ownerId: 43n, properties: apple });
    await storeAsset(database, { filename: 'not inspected', properties: null });
  });
  afterAll(() => api?.[Symbol.asyncDispose]());

  const lists = new AssetLists(() => api, '42');
  const list = lists.list.bind(lists);
  const page = lists.page.bind(lists);
  const names = ({ nodes }: AssetPage) => nodes.map(({ filename }) => filename).join(' ');

  it.each([
    [{ cameraMake: 'aPPLE' }, 'c b a'],
    [{ cameraModel: 'IPHONE' }, 'c a'],
    [{ title: 'FÜSSE' }, ''],
    [{ title: 'FÜßE' }, 'f e'],
    [{ artist: 'ärzte' }, 'f e'],
    [{ album: '100%' }, 'f'],
    [{ album: '' }, ''],
    [{ hasLocation: true }, 'd c a'],
    [{ hasLocation: false }, 'b'],
    [{ cameraMake: 'apple', hasLocation: true }, 'c a'],
    [{ cameraMake: 'apple', cameraModel: 'EOS' }, ''],
    [{ cameraMake: 'canon', cameraModel: 'eos', hasLocation: true, title: null }, 'd'],
    [{ album: '100%', artist: 'ärzte', title: 'Füße' }, 'f'],
  ])('filters by %j', async (properties, found) => {
    expect(names(await page({ filter: { properties } }))).toBe(found);
    const reverse = found.split(' ').reverse().join(' ');
    expect(names(await page({ filter: { properties }, orderBy: 'CREATED_ASC' }))).toBe(reverse);
    // A page that is too small for all assets reports a next page.
    const first = await page({ filter: { properties }, first: 1 });
    expect(names(first)).toBe(found.split(' ')[0]);
    expect(first.pageInfo.hasNextPage).toBe(found.includes(' '));
  });

  it('treats empty properties as no filter', async () => {
    expect((await page({ filter: { properties: {} } })).nodes).toHaveLength(8);
  });

  it('combines filters by properties, status and creation time', async () => {
    const properties = { cameraMake: 'apple' };
    const [createdAfter, createdBefore] = [minute(0), minute(2)];
    expect(names(await page({ filter: { properties, createdAfter, createdBefore } }))).toBe('b');
    expect(names(await page({ filter: { properties, status: ['READY', 'DELETED'] } }))).toBe('c b a');
    expect(names(await page({ filter: { properties, status: ['DELETED'] } }))).toBe('');
    expect(names(await page({ orderBy: 'TAKEN_ASC', filter: { status: ['PENDING'] } }))).toBe('');
  });

  it('lists each asset once, however often its status is repeated', async () => {
    const once = await page({ filter: { status: ['READY'] } });
    expect(await page({ filter: { status: ['READY', 'READY'] } })).toEqual(once);
    const statements = jest.spyOn(database, 'query');
    const status = Array.from({ length: 60_000 }, (_, index) => (index % 2 === 0 ? 'READY' : 'DELETED'));
    expect(names(await page({ filter: { status } }))).toBe('not inspected deleted g f e d c b a');
    const calls = statements.mock.calls.filter(([{ name }]) => name.startsWith('assets_list_'));
    statements.mockRestore();
    expect(calls.map(([, values]) => values.at(-1))).toEqual([['READY', 'DELETED']]);
  });

  it('orders by local time, whatever the instants are', async () => {
    const pictures = [
      { filename: 'evening', takenAt: new Date('2026-01-01T10:00:00Z'), takenAtLocal: '2026-01-01T20:00:00' },
      { filename: 'morning', takenAt: new Date('2026-01-01T12:00:00Z'), takenAtLocal: '2026-01-01T06:00:00' },
      { filename: 'noon', takenAtLocal: '2026-01-01T12:00:00' },
    ];
    for (const { filename, ...properties } of pictures) {
      await storeAsset(database, { ownerId: 72n, filename, properties });
    }
    const of = async (orderBy: string, properties = {}) =>
      names(await page({ orderBy, filter: { properties } }, '72'));
    expect(await of('TAKEN_ASC')).toBe('morning noon evening');
    expect(await of('TAKEN_DESC')).toBe('evening noon morning');
    expect(await of('TAKEN_ASC', { takenAfter: '2026-01-01T06:00:00' })).toBe('noon evening');
    expect(await of('TAKEN_ASC', { takenAfter: '2026-01-01T05:59:59.999' })).toBe('morning noon evening');
    expect(await of('TAKEN_ASC', { takenBefore: '2026-01-01T20:00:00' })).toBe('morning noon');
  });

  it.each([
    '2026-01-01T00:00:00Z',
    '2026-01-01T00:00:00+02:00',
    '2026-02-30T00:00:00',
    '1799-12-31T23:59:59',
  ])('rejects %s as a local time', async (takenAfter) => {
    const { errors } = await list({ orderBy: 'TAKEN_ASC', filter: { properties: { takenAfter } } });
    expect(errors).toMatchObject([
      { extensions: { code: 'BAD_USER_INPUT', reason: 'LOCAL_DATE_TIME_INVALID' } },
    ]);
  });

  it('orders by capture time the assets whose capture time is known', async () => {
    const order = (await page({ orderBy: 'TAKEN_ASC' })).nodes.map(({ filename }) => filename);
    expect(order).toHaveLength(4);
    expect([order[0], order[3]]).toEqual(['b', 'a']);
    expect(names(await page({ orderBy: 'TAKEN_DESC' }))).toBe(order.toReversed().join(' '));
    const between = { takenAfter: year(1950), takenBefore: year(2020) };
    expect(names(await page({ orderBy: 'TAKEN_ASC', filter: { properties: between } }))).toBe(
      order.slice(1, 3).join(' '),
    );
  });

  it.each([
    ['CREATED_DESC', { properties: { hasLocation: true } }],
    ['CREATED_ASC', { properties: { cameraMake: 'apple', hasLocation: true } }],
    ['TAKEN_DESC', {}],
    ['TAKEN_ASC', { properties: { takenAfter: year(1900) } }],
  ])('pages through %s with %j forwards and backwards', async (orderBy, filter) => {
    const all = await page({ orderBy, filter });
    expect(all.nodes.length).toBeGreaterThan(1);
    const ids = all.nodes.map(({ id }) => id);
    expect(all.edges.map(({ node }) => node.id)).toEqual(ids);
    const idsOf = (pages: readonly AssetPage[]) => pages.flatMap(({ nodes }) => nodes.map(({ id }) => id));
    expect(idsOf(await lists.forward({ orderBy, filter, first: 1 }))).toEqual(ids);
    expect(idsOf(await lists.backward({ orderBy, filter, last: 1 }))).toEqual(ids.toReversed());
  });

  it('rejects a text with a NUL character', async () => {
    const { errors } = await list({ filter: { properties: { title: 'a\0b' } } });
    const path = ['filter', 'properties', 'title'];
    expect(errors).toMatchObject([
      { extensions: { code: 'BAD_USER_INPUT', reason: 'FILTER_INVALID', path } },
    ]);
  });

  it('rejects the cursor of one order in every other order', async () => {
    const orders = [
      ...['CREATED_DESC', 'CREATED_ASC', 'TAKEN_DESC', 'TAKEN_ASC'],
      ...['SIZE_DESC', 'SIZE_ASC', 'FILENAME_ASC'],
    ];
    for (const from of orders) {
      const { pageInfo } = await page({ orderBy: from, first: 1 });
      for (const to of orders) {
        const { errors } = await list({ orderBy: to, first: 1, after: pageInfo.endCursor });
        expect([from, to, errors?.[0]?.extensions.reason]).toEqual([
          from,
          to,
          from === to ? undefined : 'CURSOR_INVALID',
        ]);
      }
    }
  });

  /** The name of the list of user 42: scope, order, owner, statuses and filter. */
  const TAKEN_ASC = `assets ["OWN","TAKEN_ASC","42",["PENDING","PROCESSING","READY","REJECTED","FAILED"],{}]`;
  const cursorAt = (millis: number) =>
    cursorsOf(TAKEN_ASC, { key: 'instant', id: 'uuid' }).encode({
      key: new Date(millis),
      id: '00000000-0000-7000-8000-000000000000',
    });

  it.each([-62135596800000, -99999999999999, 999999999999999])(
    'accepts a cursor at %d milliseconds',
    async (millis) => {
      expect((await page({ orderBy: 'TAKEN_ASC', after: cursorAt(millis) })).nodes).toHaveLength(
        millis < 0 ? 4 : 0,
      );
    },
  );

  it('rejects a cursor before the earliest date', async () => {
    const { errors } = await list({ orderBy: 'TAKEN_ASC', after: cursorAt(-999_999_999_999_999) });
    expect(errors).toMatchObject([{ extensions: { reason: 'CURSOR_INVALID', path: ['after'] } }]);
  });

  it('restricts lists of other owners to operators', async () => {
    const filter = { ownerId: '42', properties: { hasLocation: true } };
    expect(names(await page({ filter }, '9', { scope: 'stowage.admin' }))).toBe('d c a');
    const { errors } = await list({ filter }, '43');
    expect(errors).toMatchObject([{ extensions: { code: 'FORBIDDEN' } }]);
  });

  it('uses the owner of the asset, not of its properties', async () => {
    const id = await storeAsset(database, { ownerId: 70n, properties: { title: 'mine' } });
    await database.prisma.assetProperties.update({ where: { assetId: id }, data: { ownerId: 71n } });
    expect(names(await page({ filter: { properties: { title: 'mine' } } }, '71'))).toBe('');
  });

  describe('with many assets that do not match', () => {
    const MANY = 2 * MAX_EXAMINED + 1;
    beforeAll(async () => {
      await storeAsset(database, {
        ownerId: 80n,
        filename: 'oldest',
        createdAt: minute(-1),
        properties: { cameraMake: 'Leica', hasLocation: true, takenAtLocal: year(1999) },
      });
      await database.pool.query(
        `with deleted as (
           insert into media_assets (asset_id, owner_id, bucket, object_key, filename, mime_type, declared_type, size_bytes,
             checksum_sha256, status, upload_method, request_id, url_expires_at, upload_deadline_at, next_check_at,
             created_at, updated_at)
           select gen_random_uuid(), 80, 'b', 'k', 'f', 'image/jpeg', 'image/jpeg', 1, repeat('0', 64), 'DELETED', 'PUT',
             'r', now(), now(), now(), '2026-01-01'::timestamptz + n * interval '1 second', now()
           from generate_series(1, $1) n returning asset_id, owner_id, created_at)
         insert into asset_properties (asset_id, owner_id, created_at, camera_make, taken_at_local, has_location)
           select asset_id, owner_id, created_at, 'Leica', created_at at time zone 'UTC', false from deleted`,
        [MANY],
      );
    });

    it.each([
      ['CREATED_DESC', { properties: { cameraMake: 'leica' } }],
      ['TAKEN_DESC', {}],
    ])('scans %s in bounded steps', async (orderBy, filter) => {
      const forward = await lists.forward({ orderBy, filter }, '80');
      expect(forward.map(names)).toEqual(['', '', 'oldest']);
      const backward = await lists.backward({ orderBy, filter, last: 5 }, '80');
      expect(backward.map(names)).toEqual(['oldest', '', '']);
    });

    it('starts with the rarest property', async () => {
      const filter = { properties: { cameraMake: 'leica', hasLocation: true } };
      const { nodes, pageInfo } = await page({ filter }, '80');
      expect([nodes.length, pageInfo.hasNextPage]).toEqual([1, false]);
    });
  });
});
