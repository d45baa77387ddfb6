import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import pg from 'pg';
import { NO_SOURCES, type PrincipalSources, sourceSetOf, validSources } from '#libs/access';
import { Database, DatabaseConfig } from '#libs/database';
import { type Actor, principalsOf } from '#libs/domain';
import { configured } from '#libs/runtime';
import type { AssetFilter } from '../../../libs/assets/src/asset-filter.js';
import {
  type Direction,
  ENTRIES,
  MAX_EXAMINED,
  type OrderKey,
} from '../../../libs/assets/src/asset-list-entries.js';
import type { AssetListing } from '../../../libs/assets/src/asset-list-streams.js';
import { AssetListsRepository } from '../../../libs/assets/src/asset-lists.repository.js';
import { CONTENTS, FIND, FIND_ALL } from '../../../libs/assets/src/assets.repository.js';
import type { ListPosition } from '../../../libs/assets/src/list-merge.js';
import { inBulk } from '../../support/in-bulk.js';
import { blocksOf, type Plan, SeededDatabase } from '../../support/plans.js';

const OWN = 200_000;
const ASSETS = 300_000;
const PAGE = 101;
const GROUPS = 200;
/** Folders of a feature in which some assets are, of which none is shared with the reader. */
const FOLDERS = 20;

/**
 * Owner 1 has 200,000 assets, of which 50,000 have one title, file name and size. The others belong to many owners: each is granted to
 * one of 200 groups, half of them to everyone, and a quarter to user 2. The time of taking is known of seven eighths of them.
 */
const ROWS = `
  insert into stored_objects (id, sha256, crc32c, size_bytes, ref_count, state, created_at)
    select n, lpad(n::text, 64, '0'), 'AAAAAA==', 1, 1, 'LIVE', now() from generate_series(1, 1000) n;
  insert into object_variants
    select n, 's' || m, 'n' || m, 'image/webp', m, m, m, 'content', 'k' || n || m, '1', now()
    from generate_series(1, 1000) n, generate_series(1, 4) m;
  insert into media_assets (asset_id, owner_id, bucket, object_key, filename, mime_type, declared_type, size_bytes,
      checksum_sha256, status, stored_object_id, upload_method, request_id, url_expires_at, upload_deadline_at, next_check_at, created_at, updated_at)
    select lpad(to_hex(n), 32, '0')::uuid, case when n <= ${OWN} then 1 else n end, 'b', 'k',
      case when n % 4 = 0 then 'Same.jpg' else 'IMG_' || lpad((n::bigint * 7919 % ${ASSETS})::text, 6, '0') || '.JPG' end,
      'image/jpeg', 'image/jpeg', case when n % 4 = 0 then 100000 else n end, lpad((n % 1000)::text, 64, '0'),
      (case when n % 10 = 1 then 'DELETED' when n % 100 = 2 then 'FAILED' else 'READY' end)::asset_status, 1 + n % 1000, 'PUT', 'r', now(), now(), now(),
      '2026-01-01'::timestamptz + n * interval '1 minute', now()
    from generate_series(1, ${ASSETS}) n;
  insert into asset_properties (asset_id, owner_id, created_at, taken_at_local, camera_make, camera_model, has_location, title, artist,
      album)
    select asset_id, owner_id, created_at, (created_at - interval '1 year') at time zone 'UTC',
      case when status = 'DELETED' then 'Leica' when size_bytes % 2 = 0 then 'Apple' else 'Canon' end,
      case when size_bytes % 2 = 0 then 'iPhone' else 'EOS' end, true,
      case when filename = 'Same.jpg' then 'Same title' else filename end, 'Artist', 'Album'
    from media_assets where owner_id = 1;
  insert into asset_properties (asset_id, owner_id, created_at, taken_at_local)
    select asset_id, owner_id, created_at, case when owner_id % 8 < 7 then (created_at - interval '1 year') at time zone 'UTC' end
    from media_assets where owner_id > 1;
  insert into asset_metadata (asset_id, key, value, owner_id, created_at)
    select asset_id, 'project', case when filename = 'Same.jpg' then 'same' else checksum_sha256 end, owner_id, created_at
    from media_assets where owner_id = 1;
  insert into asset_acl (asset_id, principal, permission, created_at, size_bytes, sort_name, taken_at_local)
    select a.asset_id, principal, 'READ', a.created_at, size_bytes, lower(filename), taken_at_local
    from (select *, row_number() over (order by asset_id) as n from media_assets where owner_id > 1) a
      join asset_properties using (asset_id), lateral (
      values ('group:g' || n % ${GROUPS}), (case when n % 2 = 0 then '*' end), (case when n % 4 = 0 then 'user:2' end)) g (principal)
    where principal is not null;
  create table folder_shares (folder_id bigint, principal text, expires_at timestamptz, primary key (folder_id, principal));
  insert into folder_shares select n, 'user:' || 1000 + n % 1000 from generate_series(1, 20000) n;
  insert into asset_acl (asset_id, principal, permission, created_at, size_bytes, sort_name, taken_at_local)
    select asset_id, 'folders:' || (size_bytes * ${FOLDERS} + m) % 20000, 'READ', a.created_at, size_bytes, lower(filename),
      taken_at_local
    from media_assets a join asset_properties using (asset_id), generate_series(1, ${FOLDERS}) m
    where a.created_at < '2026-01-01'::timestamptz + interval '300 minutes' or size_bytes > ${ASSETS} - 300`;

const SEED = inBulk(['media_assets', 'asset_properties', 'asset_metadata', 'asset_acl'], ROWS);

const FOLDER_SHARES = {
  prefix: 'folders',
  table: 'folder_shares',
  id: 'folder_id',
  principal: 'principal',
  expiresAt: 'expires_at',
};
const ONE_SOURCE = sourceSetOf(validSources([{ source: 'FolderShares', options: FOLDER_SHARES }]));
/** Without and with the principals of a feature. */
const SOURCE_SETS = [NO_SOURCES, ONE_SOURCE];
/** The indexes that granted permissions are read from. */
const ACCESS_INDEXES = (set: typeof NO_SOURCES) =>
  set === NO_SOURCES ? ['asset_acl_pkey'] : ['asset_acl_pkey', 'folder_shares_pkey'];
/** The indexes that granted assets are listed from. */
const GRANT_INDEXES: Record<OrderKey, string> = {
  created: 'asset_acl_created_idx',
  taken: 'asset_acl_taken_idx',
  size: 'asset_acl_sizes_idx',
  name: 'asset_acl_names_idx',
};
const nodesOf = (plan: Plan): Plan[] => [plan, ...(plan.Plans ?? []).flatMap(nodesOf)];

type Scalar = string | number | bigint | boolean | Date | null | undefined;
type Value = Scalar | readonly Scalar[];
const textOf = (value: Scalar) => (value instanceof Date ? value.toISOString() : String(value));
const elementOf = (value: Scalar) =>
  value == null ? 'NULL' : `"${textOf(value).replaceAll(/[\\"]/g, '\\$&')}"`;
const literal = (value: Value) => {
  if (value == null) return 'null';
  const text =
    value instanceof Object && !(value instanceof Date) ? `{${value.map(elementOf).join()}}` : textOf(value);
  return pg.escapeLiteral(text);
};

const idOf = (n: number) =>
  n
    .toString(16)
    .padStart(32, '0')
    .replace(/(.{8})(....)(....)(....)/, '$1-$2-$3-$4-');

/** Blocks and index entries that the statements of a page read. */
interface Cost {
  readonly statements: string[];
  readonly blocks: number;
  /** By index; a scan of a whole table or index is counted under its node type. */
  readonly entries: Record<string, number>;
}

describe('query plans of lists (real: PostgreSQL with 300,000 assets)', () => {
  let seeded: SeededDatabase;
  let database: Database;
  let lists: AssetListsRepository;
  beforeAll(async () => {
    seeded = await SeededDatabase.create(SEED);
    database = new Database(configured(DatabaseConfig, { url: seeded.url, poolSize: 2 }));
    lists = new AssetListsRepository(database, NO_SOURCES as PrincipalSources);
  });
  afterAll(async () => {
    await database?.onApplicationShutdown();
    await seeded?.[Symbol.asyncDispose]();
  });

  const OWNER: Actor = { ownerId: 1n, groups: [], isAdmin: false };
  const READER: Actor = {
    ownerId: 2n,
    groups: Array.from({ length: GROUPS }, (_, n) => `g${n}`),
    isAdmin: false,
  };

  /** The position of the n-th asset in a list. */
  async function positionOf(n: number, by: OrderKey): Promise<ListPosition> {
    const row = await database.prisma.mediaAsset.findUniqueOrThrow({ where: { assetId: idOf(n) } });
    const taken = new Date(row.createdAt);
    taken.setUTCFullYear(taken.getUTCFullYear() - 1);
    const keys = { created: row.createdAt, taken, size: row.sizeBytes, name: row.filename.toLowerCase() };
    return { key: keys[by], id: row.assetId };
  }

  interface Call {
    readonly name?: string;
    readonly text: string;
    readonly values: readonly Value[];
  }

  /** The statements that a page takes. */
  async function callsOf(listing: AssetListing, actor: Actor, by = lists): Promise<Call[]> {
    const query = jest.spyOn(database, 'query');
    await by.read(listing, actor);
    const calls = query.mock.calls.map(([statement, values]) => ({
      ...statement,
      values: values as Value[],
    }));
    query.mockRestore();
    return calls;
  }

  async function explained(calls: readonly Call[], mode: string): Promise<Cost> {
    const entries: Record<string, number> = {};
    let blocks = 0;
    await seeded.client.query(`set plan_cache_mode = ${mode}`);
    for (const { text, values } of calls) {
      await seeded.client.query(`prepare listed as ${text}`);
      const plan = await seeded.explain(`execute listed(${values.map(literal).join()})`);
      await seeded.client.query('deallocate listed');
      blocks += blocksOf(plan);
      for (const node of nodesOf(plan)) {
        // A bitmap heap scan reads the rows that the index scan below it found.
        if (!/(?<!Subquery|Function|CTE|Bitmap Heap) Scan$/.test(node['Node Type'])) continue;
        const name = (node['Index Cond'] && node['Index Name']) ?? node['Node Type'];
        const count = node['Actual Rows'] + (node['Rows Removed by Filter'] ?? 0);
        entries[name] = (entries[name] ?? 0) + Math.round(count * node['Actual Loops']);
      }
    }
    return { statements: calls.map(({ name }) => name ?? ''), blocks, entries };
  }

  const costOf = async (listing: AssetListing, actor: Actor, mode: string, by = lists) =>
    explained(await callsOf(listing, actor, by), mode);

  const listingOf = (
    scope: AssetListing['scope'],
    by: OrderKey,
    direction: Direction,
    filter: AssetFilter,
    after?: ListPosition,
  ) =>
    ({
      scope,
      by,
      direction,
      filter: scope === 'OWN' ? { ...filter, ownerId: 1n } : filter,
      statuses: ['PENDING', 'READY', 'FAILED'],
      after,
      limit: PAGE,
    }) as AssetListing;
  const actorOf = (scope: AssetListing['scope']) => (scope === 'OWN' ? OWNER : READER);

  /** Index entries that the merge examined; the other entries are looked up by primary key. */
  const examinedOf = ({ entries }: Cost) =>
    Object.entries(entries).reduce(
      (sum, [name, count]) => (/_pkey$|corrupt/.test(name) ? sum : sum + count),
      0,
    );

  /** Blocks for each entry at the start, in the middle and at the end of a list. */
  async function costsOf(
    scope: AssetListing['scope'],
    by: OrderKey,
    direction: Direction,
    filter: AssetFilter,
    mode: string,
  ) {
    const [low, high] = scope === 'OWN' ? [15_000, OWN - 15_000] : [OWN + 15_000, ASSETS - 15_000];
    const end = direction === 'desc' ? low : high;
    const costs: number[] = [];
    for (const n of [null, (low + high) / 2, end]) {
      const after = n === null ? undefined : await positionOf(n, by);
      const listing = listingOf(scope, by, direction, filter, after);
      const cost = await costOf(listing, actorOf(scope), mode);
      if (scope !== 'OWN') expect(Object.keys(cost.entries)).toContain(GRANT_INDEXES[by]);
      expect(Object.keys(cost.entries).filter((name) => !/_(pkey|idx)$/.test(name))).toEqual([]);
      expect(examinedOf(cost)).toBeLessThanOrEqual(MAX_EXAMINED);
      costs.push(cost.blocks / (examinedOf(cost) + 2 * PAGE));
    }
    return costs;
  }

  const LISTS = (['OWN', 'SHARED', 'PUBLIC'] as const).flatMap((scope) =>
    (Object.keys(GRANT_INDEXES) as OrderKey[]).map((by) => [scope, by] as const),
  );

  it.each([
    [{ properties: { title: 'SAME title' } }, 'asset_properties_title_idx'],
    [{ properties: { cameraModel: 'iphone' } }, 'asset_properties_camera_model_idx'],
    [{ properties: { cameraMake: 'apple' } }, 'asset_properties_camera_make_idx'],
    [{ properties: { artist: 'artist' } }, 'asset_properties_artist_idx'],
    [{ properties: { album: 'album' } }, 'asset_properties_album_idx'],
    [{ properties: { hasLocation: true } }, 'asset_properties_has_location_idx'],
    [{ metadata: [{ key: 'project', value: 'same' }] }, 'asset_metadata_values_idx'],
  ] as [AssetFilter, string][])(
    'reads %j in the order of %s, at the same cost everywhere',
    async (filter, index) => {
      const costs = await costsOf('OWN', 'created', 'desc', filter, 'force_generic_plan');
      expect(Math.max(...costs) / Math.min(...costs)).toBeLessThan(1.6);
      const cost = await costOf(listingOf('OWN', 'created', 'asc', filter), OWNER, 'force_custom_plan');
      expect(Object.keys(cost.entries)).toContain(index);
      expect(examinedOf(cost)).toBeLessThan(3 * PAGE);
    },
  );

  it('reads a checksum from its index, and assets that are not READY by status', async () => {
    const filter = { checksum: '7'.padStart(64, '0') };
    const cost = await costOf(listingOf('OWN', 'created', 'desc', filter), OWNER, 'force_generic_plan');
    expect(Object.keys(cost.entries)).toEqual(
      expect.arrayContaining([
        'media_assets_own_checksums_idx',
        'media_assets_owner_id_status_created_at_asset_id_idx',
      ]),
    );
    expect(examinedOf(cost)).toBeLessThanOrEqual(MAX_EXAMINED);
  });

  const WORST: AssetFilter[] = [
    { filenameContains: 'no such name', kinds: ['IMAGE'] },
    {
      properties: { cameraMake: 'leica', cameraModel: 'eos', hasLocation: true },
      metadata: ['a', 'b', 'c', 'same'].map((value) => ({ key: 'project', value })),
    },
    { metadata: ['project', 'x', 'y', 'z'].map((key) => ({ key, value: null })) },
  ];
  describe.each(['force_custom_plan', 'force_generic_plan'])('%s', (mode) => {
    it.each(LISTS)(
      'costs the same at the start, in the middle and at the end of %s by %s',
      async (scope, by) => {
        for (const direction of ['asc', 'desc'] as const) {
          const costs = await costsOf(scope, by, direction, {}, mode);
          expect(Math.max(...costs) / Math.min(...costs)).toBeLessThan(1.6);
          expect(Math.max(...costs)).toBeLessThan(10);
        }
      },
    );

    it.each(['OWN', 'SHARED', 'PUBLIC'] as const)(
      'reads the entries of %s between two times of taking only',
      async (scope) => {
        const n = scope === 'OWN' ? OWN / 2 : OWN + 50_000;
        const [takenAfter, takenBefore] = await Promise.all(
          [n, n + 100].map(async (bound) => (await positionOf(bound, 'taken')).key as Date),
        );
        for (const direction of ['asc', 'desc'] as const) {
          const listing = listingOf(scope, 'taken', direction, { properties: { takenAfter, takenBefore } });
          const examined = examinedOf(await costOf(listing, actorOf(scope), mode));
          expect(examined).toBeGreaterThan(30);
          expect(examined).toBeLessThan(130);
        }
      },
    );

    it.each(LISTS)('examines at most 2,000 entries of %s by %s when none matches', async (scope, by) => {
      for (const filter of WORST) {
        const cost = await costOf(listingOf(scope, by, 'desc', filter), actorOf(scope), mode);
        expect(Object.keys(cost.entries).filter((name) => !/_(pkey|idx)$/.test(name))).toEqual([]);
        expect(examinedOf(cost)).toBeLessThanOrEqual(MAX_EXAMINED);
        expect(cost.entries.media_assets_pkey ?? 0).toBeLessThanOrEqual(MAX_EXAMINED);
        expect(cost.entries.asset_properties_pkey).toBeLessThanOrEqual(MAX_EXAMINED);
        expect(cost.statements.length).toBeLessThanOrEqual(15);
      }
    });

    describe.each(SOURCE_SETS)('$sources.length sources of principals', (set) => {
      it.each([OWNER, READER])('reads assets by id with their grants only: user $ownerId', async (caller) => {
        const ids = Array.from({ length: 100 }, (_, index) => idOf(index + 1));
        const principals = principalsOf(caller);
        for (const [statement, value, assets] of [
          [FIND.for(set), ids[0]!, 1],
          [FIND_ALL.for(set), ids, 100],
        ] as const) {
          const { entries } = await explained([{ text: statement.text, values: [value, principals] }], mode);
          expect(Object.keys(entries).sort()).toEqual([
            ...ACCESS_INDEXES(set),
            'media_assets_pkey',
            'stored_objects_corrupt_idx',
          ]);
          const shares = set === NO_SOURCES || caller === OWNER ? 0 : assets * FOLDERS;
          expect(entries.asset_acl_pkey).toBe(shares);
        }
      });
    });

    it('reads the contents of a page by primary keys', async () => {
      const ids = Array.from({ length: 100 }, (_, index) => idOf(index + 1));
      const { entries } = await explained([{ text: CONTENTS.text, values: [ids] }], mode);
      expect(Object.keys(entries).sort()).toEqual([
        'asset_properties_pkey',
        'media_assets_pkey',
        'object_variants_pkey',
        'stored_objects_pkey',
      ]);
      expect(entries.object_variants_pkey).toBe(4 * 89);
      expect(entries.stored_objects_pkey).toBe(89);
    });
  });

  it("lists an owner's assets with the shares of features", async () => {
    const shared = new AssetListsRepository(database, ONE_SOURCE as PrincipalSources);
    const listing = listingOf('SHARED', 'size', 'desc', {});
    const { entries } = await costOf(listing, READER, 'force_generic_plan', shared);
    expect(Object.keys(entries)).toEqual(expect.arrayContaining(ACCESS_INDEXES(ONE_SOURCE)));
    expect(entries.asset_acl_pkey).toBeLessThanOrEqual(PAGE * (FOLDERS + 3));
  });

  it('keeps one plan for all executions of a statement', async () => {
    const { client } = seeded;
    await client.query('set plan_cache_mode = auto');
    const listing = listingOf('SHARED', 'created', 'desc', { filenameContains: 'img', kinds: ['IMAGE'] });
    const [entries] = await callsOf(listing, READER);
    await client.query(`prepare entries as ${entries!.text}`);
    for (let n = 0; n < 8; n++) await client.query(`execute entries(${entries!.values.map(literal).join()})`);
    const { rows } = await client.query(
      `select generic_plans::int as generic from pg_prepared_statements where name = 'entries'`,
    );
    expect(rows).toEqual([{ generic: 3 }]);
    await client.query('deallocate entries');
  });

  it('reads equal local times in every session time zone', async () => {
    const { text } = ENTRIES.taken.asc;
    const properties = {
      takenAfter: new Date('2025-01-01T01:00:00Z'),
      takenBefore: new Date('2025-01-01T01:03:00Z'),
    };
    const listing = listingOf('OWN', 'taken', 'asc', { properties });
    const [call] = await callsOf(listing, OWNER);
    expect(call!.text).toBe(text);
    const times: string[][] = [];
    try {
      for (const zone of ['UTC', 'Asia/Kolkata']) {
        await seeded.client.query(`set timezone to '${zone}'`);
        const { rows } = await seeded.client.query<{ key: Date }>(text, call!.values as unknown[]);
        times.push(rows.map(({ key }) => key.toISOString()));
      }
    } finally {
      await seeded.client.query('reset timezone');
    }
    const expected = ['2025-01-01T01:02:00.000Z'];
    expect(times).toEqual([expected, expected]);
  });
});
