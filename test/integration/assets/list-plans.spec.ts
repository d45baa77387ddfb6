import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import pg from 'pg';
import { NO_SOURCES, sourceSetOf, validSources } from '#libs/access';
import type { Statement } from '#libs/database';
import {
  COUNT_MATCHES,
  FILTERED_PROPERTIES,
  LAST_BY,
  LIST,
  LIST_BY,
  MAX_SCANNED,
} from '../../../libs/assets/src/asset-lists.repository.js';
import { CONTENTS, FIND, FIND_ALL } from '../../../libs/assets/src/assets.repository.js';
import { type Plan, SeededDatabase } from '../../support/plans.js';

const ASSETS = 100_000;
const PAGE = 101;
/** Folders in which each asset at both ends of the lists is, of which none is shared with the reader. */
const FOLDERS = 20;

/** One owner: half of the images come from one camera, half from another; all images of a third camera are deleted. */
const SEED = `
  insert into stored_objects (id, sha256, crc32c, size_bytes, ref_count, state, created_at)
    select n, lpad(n::text, 64, '0'), 'AAAAAA==', 1, 1, 'LIVE', now() from generate_series(1, 1000) n;
  insert into object_variants
    select n, 's' || m, 'n' || m, 'image/webp', m, m, m, 'content', 'k' || n || m, '1', now()
    from generate_series(1, 1000) n, generate_series(1, 4) m;
  insert into media_assets (asset_id, owner_id, bucket, object_key, filename, mime_type, declared_type, size_bytes,
      checksum_sha256, status, stored_object_id, upload_method, request_id, url_expires_at, upload_deadline_at,
      next_check_at, created_at, updated_at)
    select lpad(to_hex(n), 32, '0')::uuid, 1, 'b', 'k', 'f', 'image/jpeg', 'image/jpeg', 1, repeat('0', 64),
      (case when n % 10 = 0 then 'DELETED' else 'READY' end)::asset_status, 1 + n % 1000, 'PUT', 'r', now(), now(),
      now(), '2026-01-01'::timestamptz + n * interval '1 minute', now()
    from generate_series(1, ${ASSETS}) n;
  insert into asset_properties (asset_id, owner_id, created_at, taken_at_local, camera_make, camera_model, has_location,
      title, artist, album)
    select asset_id, owner_id, created_at, (created_at - interval '1 year') at time zone 'UTC',
      case when status = 'DELETED' then 'Leica' when n % 2 = 0 then 'Apple' else 'Canon' end,
      case when n % 2 = 0 then 'iPhone' else 'EOS' end, n % 3 = 0,
      'Title ' || n % 50000, 'Artist ' || n % 50, 'Album ' || n % 5
    from (select *, row_number() over (order by asset_id) as n from media_assets) a;
  insert into asset_acl select asset_id, 'user:2', 'READ' from media_assets limit 1000;
  create table folder_shares (folder_id bigint, principal text, expires_at timestamptz, primary key (folder_id, principal));
  insert into folder_shares select n, 'user:' || 1000 + n % 1000 from generate_series(1, 20000) n;
  insert into asset_acl select asset_id, 'folders:' || (n * ${FOLDERS} + m) % 20000, 'READ'
    from (select *, row_number() over (order by asset_id) as n from media_assets) a, generate_series(1, ${FOLDERS}) m
    where n <= 300 or n > ${ASSETS} - 300`;

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
/** The owner, and a caller who is not. */
const CALLERS = ['user:1', 'user:3'];

const ENDS = {
  asc: ['-infinity', '00000000-0000-0000-0000-000000000000'],
  desc: ['infinity', 'ffffffff-ffff-ffff-ffff-ffffffffffff'],
};
const VALUES = {
  title: 'title 7',
  album: 'ALBUM 3',
  artist: 'artist 7',
  cameraModel: 'eos',
  cameraMake: 'apple',
  hasLocation: true,
};
const INDEXES = {
  title: 'asset_properties_title_idx',
  album: 'asset_properties_album_idx',
  artist: 'asset_properties_artist_idx',
  cameraModel: 'asset_properties_camera_model_idx',
  cameraMake: 'asset_properties_camera_make_idx',
  hasLocation: 'asset_properties_has_location_idx',
  taken: 'asset_properties_owner_id_taken_at_local_asset_id_idx',
};

const nodesOf = (plan: Plan): Plan[] => [plan, ...(plan.Plans ?? []).flatMap(nodesOf)];

describe('query plans of lists (real: PostgreSQL, an owner with 100,000 assets)', () => {
  let database: SeededDatabase;
  let client: pg.Client;
  beforeAll(async () => {
    database = await SeededDatabase.create(SEED);
    ({ client } = database);
  });
  afterAll(() => database?.[Symbol.asyncDispose]());

  type Value = string | number | boolean | null | readonly string[];
  const literal = (value: Value) =>
    value === null
      ? 'null'
      : pg.escapeLiteral(typeof value === 'object' ? `{${value.join()}}` : String(value));

  /** Entries read, by index; a `Seq Scan` or the scan of a whole index is counted under its node type. */
  async function read({ name, text }: Statement<unknown>, values: readonly Value[], mode: string) {
    await client.query(`set plan_cache_mode = ${mode}`);
    await client.query(`prepare ${name} as ${text}`);
    const plan = await database.explain(`execute ${name}(${values.map(literal).join()})`);
    await client.query(`deallocate ${name}`);
    const entries: Record<string, number> = {};
    for (const node of nodesOf(plan)) {
      // A bitmap heap scan reads the rows that the index scan below it found.
      if (!/(?<!Subquery|Function|Bitmap Heap) Scan$/.test(node['Node Type'])) continue;
      const index = node['Index Cond'] === undefined ? undefined : node['Index Name'];
      const count = node['Actual Rows'] + (node['Rows Removed by Filter'] ?? 0);
      const name = index ?? node['Node Type'];
      entries[name] = (entries[name] ?? 0) + Math.round(count * node['Actual Loops']);
    }
    return entries;
  }

  const bounds = [1, '-infinity', 'infinity'];
  const others = (names: readonly string[]) =>
    FILTERED_PROPERTIES.map((name) => (names.includes(name) ? VALUES[name] : null));

  it('reads equal local times in every session time zone', async () => {
    const [from, to] = [new Date('2025-01-01T01:00:00Z'), new Date('2025-01-01T01:03:00Z')];
    const values = [1, from, to, ...ENDS.asc, ['user:1'], PAGE, ...others([])];
    const times: string[][] = [];
    try {
      for (const zone of ['UTC', 'Asia/Kolkata']) {
        await client.query(`set timezone to '${zone}'`);
        const { rows } = await client.query<{ at: Date }>(LIST_BY.taken.asc.for(NO_SOURCES).text, values);
        times.push(rows.map(({ at }) => at.toISOString()));
      }
    } finally {
      await client.query('reset timezone');
    }
    const expected = ['2025-01-01T01:01:00.000Z', '2025-01-01T01:02:00.000Z'];
    expect(times).toEqual([expected, expected]);
  });

  describe.each(['force_custom_plan', 'force_generic_plan'])('%s', (mode) => {
    describe.each(SOURCE_SETS)('$sources.length sources of principals', (set) => {
      const pkeys = ACCESS_INDEXES(set);

      describe.each(['asc', 'desc'] as const)('%s', (order) => {
        const page = [...bounds, ...ENDS[order], ['user:3'], PAGE];

        it.each([...FILTERED_PROPERTIES, 'taken' as const])(
          'reads a page by %s from its index',
          async (driver) => {
            const statement = LIST_BY[driver][order].for(set);
            const entries = await read(statement, [...page, ...others([driver])], mode);
            expect(Object.keys(entries).sort()).toEqual(
              [...pkeys, INDEXES[driver], 'media_assets_pkey', 'stored_objects_corrupt_idx'].sort(),
            );
            expect(entries[INDEXES[driver]]).toBeLessThan(2 * PAGE);
            expect(entries.asset_acl_pkey).toBeLessThanOrEqual(PAGE * FOLDERS);
            const value = driver === 'taken' ? [] : [VALUES[driver]];
            const last = await read(LAST_BY[driver][order], [...bounds, ...ENDS[order], ...value], mode);
            expect(Object.keys(last)).toEqual([INDEXES[driver]]);
            expect(last[INDEXES[driver]]).toBeLessThanOrEqual(MAX_SCANNED);
          },
        );

        it('examines a bounded number of entries when no row matches', async () => {
          const index = INDEXES.cameraMake;
          const statement = LIST_BY.cameraMake[order].for(set);
          // No row matches both filters.
          const two = await read(statement, [...page, ...others(['cameraMake', 'cameraModel'])], mode);
          expect(two[index]).toBe(MAX_SCANNED);
          expect(two.media_assets_pkey).toBe(0);
          const deleted = [null, null, null, null, 'leica', null];
          const none = await read(statement, [...page, ...deleted], mode);
          expect(none[index]).toBe(MAX_SCANNED);
          expect(none.media_assets_pkey).toBeLessThanOrEqual(MAX_SCANNED);
          expect(Object.keys(none)).not.toContain('Seq Scan');
        });

        it('reads a page by creation time from its index', async () => {
          const entries = await read(LIST[order].for(set), [...page, ['READY', 'PENDING']], mode);
          expect(Object.keys(entries).sort()).toEqual([
            ...pkeys,
            'media_assets_owner_id_status_created_at_asset_id_idx',
            'stored_objects_corrupt_idx',
          ]);
          expect(entries.asset_acl_pkey).toBe(set === NO_SOURCES ? 0 : PAGE * FOLDERS);
        });
      });

      it.each(CALLERS)(
        'reads assets by id with their grants only, none to features for the owner: %s',
        async (caller) => {
          const ids = Array.from({ length: 100 }, (_, index) => (index + 1).toString(16).padStart(32, '0'));
          for (const [statement, value, assets] of [
            [FIND.for(set), ids[0]!, 1],
            [FIND_ALL.for(set), ids, 100],
          ] as const) {
            const entries = await read(statement, [value, [caller]], mode);
            expect(Object.keys(entries).sort()).toEqual([
              ...pkeys,
              'media_assets_pkey',
              'stored_objects_corrupt_idx',
            ]);
            expect(entries.asset_acl_pkey).toBe(
              set === NO_SOURCES || caller === 'user:1' ? 0 : assets * FOLDERS,
            );
          }
        },
      );
    });

    it('counts matching properties and reads a bounded number of entries', async () => {
      const entries = await read(COUNT_MATCHES, [...bounds, ...others(FILTERED_PROPERTIES)], mode);
      expect(Object.keys(entries).sort()).toEqual(FILTERED_PROPERTIES.map((name) => INDEXES[name]).sort());
      const sum = Object.values(entries).reduce((total, count) => total + count, 0);
      expect(sum).toBeLessThanOrEqual(MAX_SCANNED);
    });

    it('reads the contents of a page by primary keys', async () => {
      const ids = Array.from({ length: 100 }, (_, index) => (index + 1).toString(16).padStart(32, '0'));
      const entries = await read(CONTENTS, [ids], mode);
      expect(Object.keys(entries).sort()).toEqual([
        'asset_properties_pkey',
        'media_assets_pkey',
        'object_variants_pkey',
        'stored_objects_pkey',
      ]);
      expect(entries.object_variants_pkey).toBe(4 * 90);
      expect(entries.stored_objects_pkey).toBe(90);
    });
  });
});
