import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { Database } from '#libs/database';
import { type AssetStatus, kindOfMediaType } from '#libs/domain';
import { KIND_SQL } from '../../../libs/assets/src/asset-filter.js';
import { ALIASES, FAMILIES, RECOGNISED } from '../../../libs/domain/src/media-types.data.js';
import { storeAsset } from '../../../libs/testing/src/stored-asset.js';
import { TestApi } from '../../../libs/testing/src/test-api.js';
import { AssetLists, type AssetPage } from '../../support/asset-lists.js';
import { IN_BACKGROUND } from '../../support/background-statements.js';

const minute = (n: number) => new Date(Date.UTC(2026, 0, 1, 0, n));
const FUTURE = new Date(Date.UTC(2100, 0, 1));
const PAST = new Date(Date.UTC(2020, 0, 1));
const ORDERS = [
  ...['CREATED_DESC', 'CREATED_ASC', 'SIZE_DESC', 'SIZE_ASC', 'FILENAME_ASC'],
  ...['TAKEN_DESC', 'TAKEN_ASC'],
];
const CLAIMS = { groups: ['staff', 'a "quoted" \\ group'] };

interface Seed {
  readonly name: string;
  readonly owner: bigint;
  readonly size: bigint;
  readonly status?: AssetStatus;
  readonly type?: string;
  readonly grants?: readonly [principal: string, expiresAt?: Date][];
  readonly metadata?: Readonly<Record<string, string>>;
  readonly title?: string;
  /** Year of taking. */
  readonly taken?: number;
}

/** In the order of creation. User 7 is the caller. */
const SEEDS: readonly Seed[] = [
  {
    name: 'Zebra 100%.JPG',
    owner: 1n,
    size: 5n,
    grants: [['user:7'], ['group:staff'], ['*']],
    metadata: { a: '1', b: '2' },
    taken: 2020,
  },
  {
    name: 'apple_1.png',
    owner: 1n,
    size: 4n,
    type: 'image/png',
    grants: [['group:staff', FUTURE]],
    metadata: { a: '1' },
    taken: 1950,
  },
  {
    name: 'Ärger.pdf',
    owner: 2n,
    size: 3n,
    type: 'application/pdf',
    grants: [['group:a "quoted" \\ group']],
  },
  {
    name: 'film.mp4',
    owner: 2n,
    size: 2n,
    type: 'video/mp4',
    grants: [['*']],
    metadata: { a: '2' },
    taken: 2010,
  },
  {
    name: 'own ready.txt',
    owner: 7n,
    size: 5n,
    type: 'text/plain',
    grants: [['*'], ['user:7']],
    metadata: { a: '1' },
    taken: 2010,
  },
  { name: 'own pending', owner: 7n, size: 9n, status: 'PENDING', grants: [['user:7'], ['*']] },
  {
    name: 'expired',
    owner: 1n,
    size: 1n,
    grants: [
      ['user:7', PAST],
      ['group:staff', PAST],
      ['*', PAST],
    ],
    taken: 2000,
  },
  { name: 'other user', owner: 1n, size: 1n, grants: [['user:8'], ['group:others']], taken: 2001 },
  { name: 'pending of another', owner: 1n, size: 1n, status: 'PENDING', grants: [['user:7'], ['*']] },
  {
    name: 'deleted of another',
    owner: 1n,
    size: 1n,
    status: 'DELETED',
    grants: [['user:7'], ['*']],
    taken: 2002,
  },
  {
    name: 'own private',
    owner: 7n,
    size: 6n,
    type: 'audio/mpeg',
    metadata: { a: 'x'.repeat(200) },
    title: 'Song',
    taken: 2015,
  },
  { name: 'own failed', owner: 7n, size: 7n, status: 'FAILED', metadata: { a: `${'x'.repeat(199)}y` } },
];

const SHARED = ['Zebra 100%.JPG', 'apple_1.png', 'Ärger.pdf', 'own ready.txt', 'own pending'];
const PUBLIC = ['Zebra 100%.JPG', 'film.mp4', 'own ready.txt', 'own pending'];
const OWN = ['own ready.txt', 'own pending', 'own private', 'own failed'];

describe('lists by scope, order and filter (real: PostgreSQL, HTTP)', () => {
  let api: TestApi;
  let database: Database;
  beforeAll(async () => {
    api = await TestApi.start();
    database = api.app.get(Database);
    for (const [index, seed] of SEEDS.entries()) {
      const assetId = await storeAsset(database, {
        ownerId: seed.owner,
        filename: seed.name,
        status: seed.status,
        createdAt: minute(index),
        properties: {
          title: seed.title,
          takenAtLocal: seed.taken === undefined ? null : `${seed.taken}-01-01T00:00:00`,
        },
      });
      await database.prisma.mediaAsset.update({
        where: { assetId },
        data: {
          sizeBytes: seed.size,
          mimeType: seed.type ?? 'image/jpeg',
          checksumSha256: String(seed.size).padStart(64, '0'),
        },
      });
      await database.prisma.assetAcl.createMany({
        data: (seed.grants ?? []).map(([principal, expiresAt]) => ({
          assetId,
          principal,
          permission: 'READ',
          expiresAt,
        })),
      });
      await database.prisma.assetMetadata.createMany({
        data: Object.entries(seed.metadata ?? {}).map(([key, value]) => ({ assetId, key, value })),
      });
    }
  });
  afterAll(() => api?.[Symbol.asyncDispose]());

  const lists = new AssetLists(() => api, '7', CLAIMS);
  const list = lists.list.bind(lists);
  const page = lists.page.bind(lists);
  const names = ({ nodes }: AssetPage) => nodes.map(({ filename }) => filename);

  /** Orders names as a list does, by the seeds. Equal keys are ordered by id, which grows with the time of creation. */
  function sorted(found: readonly string[], orderBy: string): string[] {
    const isTaken = orderBy.startsWith('TAKEN');
    const seeds = SEEDS.map((seed, index) => ({ ...seed, index })).filter(
      ({ name, taken }) => found.includes(name) && (!isTaken || taken !== undefined),
    );
    const lower = (name: string) => Buffer.from(name.toLowerCase());
    seeds.sort((a, b) => {
      if (orderBy.startsWith('SIZE')) return Number(a.size - b.size) || a.index - b.index;
      if (orderBy.startsWith('FILENAME')) return Buffer.compare(lower(a.name), lower(b.name));
      return (isTaken ? a.taken! - b.taken! : 0) || a.index - b.index;
    });
    return (orderBy.endsWith('DESC') ? seeds.reverse() : seeds).map(({ name }) => name);
  }

  const SCOPES: [scope: string, found: string[]][] = [
    ['OWN', OWN],
    ['SHARED', SHARED],
    ['PUBLIC', PUBLIC],
  ];
  const LISTS = SCOPES.flatMap(([scope, found]) => ORDERS.map((orderBy) => [scope, orderBy, found] as const));

  it.each(LISTS)('lists %s by %s, forwards and backwards', async (scope, orderBy, found) => {
    const expected = sorted(found, orderBy);
    expect(expected.length).toBeGreaterThan(1);
    expect(names(await page({ scope, orderBy }))).toEqual(expected);
    const forward = await lists.forward({ scope, orderBy, first: 2 });
    expect(forward.flatMap(names)).toEqual(expected);
    const backward = await lists.backward({ scope, orderBy, last: 1 });
    expect(backward.reverse().flatMap(names)).toEqual(expected);
  });

  const isNamed = (part: string) => (name: string) => name.toLowerCase().includes(part);
  const seedOf = (name: string) => SEEDS.find((seed) => seed.name === name)!;
  const hasMetadata = (entries: Record<string, string>) => (name: string) =>
    Object.entries(entries).every(([key, value]) => seedOf(name).metadata?.[key] === value);
  const takenWithin = (after: number, before: number) => (name: string) => {
    const { taken = NaN } = seedOf(name);
    return taken > after && taken < before;
  };
  const isReady = (name: string) => seedOf(name).status === undefined;
  const FILTERS: [filter: object, matches: (name: string) => boolean][] = [
    [{ status: ['READY'] }, isReady],
    [{ status: [] }, () => false],
    [{ status: ['PENDING', 'FAILED', 'PENDING'] }, (name) => !isReady(name)],
    [{ kind: ['IMAGE', 'VIDEO', 'IMAGE'] }, (name) => /Zebra|apple|film|pending|failed/.test(name)],
    [{ kind: ['DOCUMENT'] }, (name) => /txt|pdf/.test(name)],
    [{ kind: [] }, () => false],
    [{ mimeType: 'IMAGE/*' }, (name) => /Zebra|apple|pending|failed/.test(name)],
    [{ mimeType: 'image/jpg' }, (name) => /Zebra|pending|failed/.test(name)],
    [{ mimeType: 'video/mp4' }, (name) => name === 'film.mp4'],
    [{ checksumSha256: '5'.padStart(64, '0') }, (name) => seedOf(name).size === 5n],
    [{ metadata: [] }, () => true],
    [{ metadata: [{ key: 'a', value: '1' }] }, hasMetadata({ a: '1' })],
    [{ metadata: [{ key: 'b' }, { key: 'a', value: '1' }, { key: 'b' }] }, hasMetadata({ a: '1', b: '2' })],
    [{ metadata: [{ key: 'a' }] }, (name) => seedOf(name).metadata?.a !== undefined],
    [
      {
        metadata: [
          { key: 'a', value: '1' },
          { key: 'a', value: '2' },
        ],
      },
      () => false,
    ],
    [{ metadata: [{ key: 'a', value: 'x'.repeat(200) }] }, (name) => name === 'own private'],
    [{ createdAfter: minute(0), createdBefore: minute(4) }, (name) => /apple|rger|film/.test(name)],
    [{ createdAfter: minute(4), createdBefore: minute(3) }, () => false],
    [{ filenameContains: 'OWN' }, isNamed('own')],
    [{ filenameContains: 'A\u0308RG' }, (name) => name === 'Ärger.pdf'],
    [{ filenameContains: '100%' }, isNamed('100%')],
    [{ filenameContains: 'own%' }, () => false],
    [{ filenameContains: 'le_1' }, isNamed('le_1')],
    [{ filenameContains: 'le\\_' }, () => false],
    [{ properties: { title: 'SONG' } }, (name) => name === 'own private'],
    [{ properties: { takenAfter: '1900-01-01T00:00:00' } }, takenWithin(1900, 3000)],
    [{ properties: { takenBefore: '2010-01-01T00:00:00' } }, takenWithin(0, 2010)],
    [
      { properties: { takenAfter: '1950-01-01T00:00:00', takenBefore: '2020-01-01T00:00:00' } },
      takenWithin(1950, 2020),
    ],
    [{ properties: { takenAfter: '2020-01-01T00:00:00' } }, () => false],
    [{ ownerId: '7', filenameContains: 'own' }, isNamed('own')],
    [
      { kind: ['IMAGE'], metadata: [{ key: 'a', value: '1' }], status: ['READY'] },
      (name) => /Zebra|apple/.test(name),
    ],
  ];

  it.each(FILTERS)('filters every scope and order by %j', async (filter, matches) => {
    for (const [scope, orderBy, found] of LISTS) {
      const answer = await page({ scope, orderBy, filter });
      expect([scope, orderBy, names(answer)]).toEqual([
        scope,
        orderBy,
        sorted(found.filter(matches), orderBy),
      ]);
    }
  });

  it('lists the shared assets of one owner', async () => {
    expect(names(await page({ scope: 'SHARED', filter: { ownerId: '2' } }))).toEqual(['Ärger.pdf']);
    expect(names(await page({ scope: 'PUBLIC', filter: { ownerId: '1' } }))).toEqual(['Zebra 100%.JPG']);
  });

  it('lists to operators what is granted to them, and of other owners in every status', async () => {
    const operator = { scope: 'stowage.admin' };
    expect(names(await page({ scope: 'SHARED' }, '99', operator))).toEqual([]);
    expect(names(await page({ scope: 'PUBLIC' }, '99', operator))).toEqual([
      'own ready.txt',
      'film.mp4',
      'Zebra 100%.JPG',
    ]);
    expect(names(await page({ filter: { ownerId: '7' } }, '99', operator))).toEqual(
      sorted(OWN, 'CREATED_DESC'),
    );
  });

  it('lists an asset with an expired and a valid grant of one principal once', async () => {
    const assetId = await storeAsset(database, { ownerId: 1n, filename: 'twice' });
    await database.prisma.assetAcl.createMany({
      data: [
        { assetId, principal: 'user:30', permission: 'DELETE', expiresAt: PAST },
        { assetId, principal: 'user:30', permission: 'READ' },
        { assetId, principal: 'user:30', permission: 'WRITE', expiresAt: PAST },
      ],
    });
    for (const first of [1, 20])
      expect(names(await page({ scope: 'SHARED', first }, '30', {}))).toEqual(['twice']);
    expect(names(await page({ scope: 'SHARED', last: 1 }, '30', {}))).toEqual(['twice']);
  });

  it('stops listing an asset when its grant is removed', async () => {
    const assetId = await storeAsset(database, { ownerId: 1n, filename: 'revoked', readers: ['user:31'] });
    expect(names(await page({ scope: 'SHARED' }, '31', {}))).toEqual(['revoked']);
    await database.prisma.assetAcl.deleteMany({ where: { assetId } });
    expect(names(await page({ scope: 'SHARED' }, '31', {}))).toEqual([]);
  });

  it('refuses a cursor of another scope, order or filter', async () => {
    const variants = [
      {},
      { scope: 'PUBLIC' },
      { orderBy: 'SIZE_ASC' },
      { orderBy: 'TAKEN_ASC' },
      { filter: { status: ['READY'] } },
      { filter: { filenameContains: 'own' } },
      { filter: { metadata: [{ key: 'a' }] } },
      { filter: { metadata: [{ key: 'a', value: '1' }] } },
      { filter: { ownerId: '1' } },
    ];
    for (const [index, from] of variants.entries()) {
      const { pageInfo } = await page({ scope: 'SHARED', ...from, first: 1 });
      for (const [other, to] of variants.entries()) {
        const { errors } = await list({
          scope: 'SHARED',
          ...to,
          first: 1,
          after: pageInfo.endCursor ?? 'none',
        });
        const reason = index === other && pageInfo.endCursor !== null ? undefined : 'CURSOR_INVALID';
        expect([from, to, errors?.[0]?.extensions.reason]).toEqual([from, to, reason]);
      }
    }
  });

  it('accepts a cursor with an equivalent filter', async () => {
    const cursorOf = async (filter: object) => (await page({ filter, first: 1 })).pageInfo.endCursor;
    const [a, b] = [{ key: 'a' }, { key: 'a', value: '1' }];
    expect(await cursorOf({ metadata: [a, b, a] })).toBe(await cursorOf({ metadata: [b, a] }));
    expect(await cursorOf({ mimeType: 'TEXT/*', ownerId: '7' })).toBe(await cursorOf({ mimeType: 'text/*' }));
    expect(await cursorOf({ status: ['READY', 'FAILED'] })).toBe(
      await cursorOf({ status: ['FAILED', 'READY', 'READY'] }),
    );
    expect(await cursorOf({ properties: {}, metadata: [], kind: null })).toBe(await cursorOf({}));
  });

  it.each([
    [{ filenameContains: 'ab' }, ['filter', 'filenameContains']],
    [{ filenameContains: 'a\u0308b' }, ['filter', 'filenameContains']],
    [{ filenameContains: 'x'.repeat(256) }, ['filter', 'filenameContains']],
    [{ filenameContains: 'a\u0300'.repeat(100_000) }, ['filter', 'filenameContains']],
    [{ filenameContains: 'abc\0' }, ['filter', 'filenameContains']],
    [{ mimeType: 'image' }, ['filter', 'mimeType']],
    [{ mimeType: '*/*' }, ['filter', 'mimeType']],
    [{ mimeType: 'image/%' }, ['filter', 'mimeType']],
    [{ mimeType: 'image/png\0' }, ['filter', 'mimeType']],
    [{ metadata: Array.from({ length: 11 }, (_, n) => ({ key: `k${n}` })) }, ['filter', 'metadata']],
    [{ metadata: [{ key: 'a' }, { key: '\0' }] }, ['filter', 'metadata', 1, 'key']],
    [{ metadata: [{ key: 'a', value: '\0' }] }, ['filter', 'metadata', 0, 'value']],
  ])('refuses the filter %j', async (filter, path) => {
    const { errors } = await list({ filter });
    expect(errors).toMatchObject([
      { extensions: { code: 'BAD_USER_INPUT', reason: 'FILTER_INVALID', path } },
    ]);
  });

  it('derives the kind of a type in SQL as in TypeScript', async () => {
    const types = [
      ...new Set(`${ALIASES} ${FAMILIES} ${RECOGNISED}`.match(/[a-z0-9][^\s:*]*\/[^\s:*]+/g)),
      ...[
        'text/x',
        'application/vnd.ms-x',
        'application/vnd.apple.pages',
        'application/vnd.apple.pagesx',
        'imagex/png',
      ],
    ];
    expect(types.length).toBeGreaterThan(100);
    const { rows } = await database.pool.query<{ type: string; kind: string }>(
      `select mime_type as type, ${KIND_SQL} as kind from unnest($1::text[]) a (mime_type)`,
      [types],
    );
    expect(rows).toEqual(types.map((type) => ({ type, kind: kindOfMediaType(type) })));
  });

  it('reads a page of 100 with all parts by a fixed number of statements', async () => {
    const parts = `id acl { principal } metadata { key } viewerPermissions properties { title } variants { name downloadUrl { url } }
      downloadUrl { url }`;
    const query = `query ($scope: AssetScope, $first: Int) { assets(scope: $scope, first: $first) { nodes { ${parts} } } }`;
    await Promise.all(
      Array.from({ length: 101 }, (_, n) =>
        storeAsset(database, {
          ownerId: 50n,
          readers: ['user:50', 'group:staff', '*'],
          properties: { title: `${n}` },
          variants: [{ name: 'small' }],
        }),
      ),
    );
    const statements = jest.spyOn(database.pool, 'query');
    const counts: Record<string, string[]> = {};
    for (const scope of ['OWN', 'SHARED', 'PUBLIC']) {
      for (const first of [1, 100]) {
        statements.mockClear();
        const { data, errors } = await api.query(query, { scope, first }, '50', CLAIMS);
        expect(errors).toBeUndefined();
        expect((data!.assets as AssetPage).nodes).toHaveLength(first);
        counts[`${scope} ${first}`] = statements.mock.calls
          .map(([statement]) => (statement as unknown as { name: string }).name)
          .filter((name) => !IN_BACKGROUND.test(name))
          .sort();
      }
    }
    statements.mockRestore();
    const parted = ['assets_contents', 'assets_details'];
    const merged = [...parted, 'assets_entries_grant_created_desc', 'assets_find_all'].sort();
    const own = [...parted, 'assets_list_created_desc'].sort();
    expect(counts).toEqual({
      'OWN 1': own,
      'OWN 100': own,
      'SHARED 1': merged,
      'SHARED 100': merged,
      'PUBLIC 1': merged,
      'PUBLIC 100': merged,
    });
  });
});
