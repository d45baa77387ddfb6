import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import pg from 'pg';
import { ASSET_STATUSES } from '#libs/domain';
import type { Statement } from '#libs/database';
import {
  LIST_ALL,
  LIST_OWNER,
  LIST_UNSUCCESSFUL,
  MAX_EXAMINED,
} from '../../../libs/assets/src/admin-assets.repository.js';
import { type Plan, SeededDatabase } from '../../support/plans.js';

const ASSETS = 300_000;
const PAGE = 101;
/** Two of a thousand assets are unsuccessful; one owner has half of all. Foreign keys are not checked, which would take long. */
const SEED = `
  set session_replication_role = replica;
  insert into stored_objects (id, sha256, crc32c, size_bytes, ref_count, state, created_at)
    select n, lpad(n::text, 64, '0'), 'AAAAAA==', 1, 1, 'LIVE', now() from generate_series(1, 1000) n;
  insert into media_assets (asset_id, owner_id, bucket, object_key, filename, mime_type, declared_type, size_bytes,
      checksum_sha256, status, stored_object_id, upload_method, request_id, url_expires_at, upload_deadline_at,
      next_check_at, created_at, updated_at)
    select lpad(to_hex(n), 32, '0')::uuid, case when n % 2 = 0 then 1 else 2 + n % 1000 end, 'b', 'k', 'f', 'image/jpeg',
      'image/jpeg', 1, repeat('0', 64),
      (case n % 1000 when 0 then 'FAILED' when 1 then 'REJECTED' when 2 then 'DELETED' else 'READY' end)::asset_status,
      1 + n % 1000, 'PUT', 'r', now(), now(), now(), '2026-01-01'::timestamptz + n * interval '1 minute', now()
    from generate_series(1, ${ASSETS}) n`;

const OWNERS = 'media_assets_owner_id_status_created_at_asset_id_idx';
const UNSUCCESSFUL = 'media_assets_unsuccessful_idx';
const PRIMARY = 'media_assets_pkey';
const CORRUPT = 'stored_objects_corrupt_idx';

const idOf = (n: number) => n.toString(16).padStart(32, '0');
const nodesOf = (plan: Plan): Plan[] => [plan, ...(plan.Plans ?? []).flatMap(nodesOf)];

describe('query plans of lists for operators (real: PostgreSQL, 300,000 assets)', () => {
  let database: SeededDatabase;
  beforeAll(async () => {
    database = await SeededDatabase.create(SEED);
  });
  afterAll(() => database?.[Symbol.asyncDispose]());

  type Value = string | number | readonly string[];
  const literal = (value: Value) =>
    pg.escapeLiteral(typeof value === 'object' ? `{${value.join()}}` : String(value));

  /** Entries read, by index; other scans of tables are counted under their node type. */
  async function read({ name, text }: Statement<unknown>, values: readonly Value[], mode: string) {
    const { client } = database;
    await client.query(`set plan_cache_mode = ${mode}`);
    await client.query(`prepare ${name} as ${text}`);
    const plan = await database.explain(`execute ${name}(${values.map(literal).join()})`);
    await client.query(`deallocate ${name}`);
    const entries: Record<string, number> = {};
    for (const node of nodesOf(plan)) {
      if (!/(?<!Subquery|Function|CTE) Scan$/.test(node['Node Type'])) continue;
      const name = (node['Index Cond'] === undefined ? undefined : node['Index Name']) ?? node['Node Type'];
      const count = node['Actual Rows'] + (node['Rows Removed by Filter'] ?? 0);
      entries[name] = (entries[name] ?? 0) + Math.round(count * node['Actual Loops']);
    }
    return { entries, rows: plan['Actual Rows'] };
  }

  describe.each(['force_custom_plan', 'force_generic_plan'])('%s', (mode) => {
    describe.each([
      ['start', ASSETS + 1, 'infinity'],
      ['middle', ASSETS / 2, new Date(Date.UTC(2026, 0, 1, 0, ASSETS / 2)).toISOString()],
    ])('from the %s', (_, before, createdAt) => {
      it('reads assets of an owner from the index, one page for each status', async () => {
        const values = [1, ASSET_STATUSES, createdAt, idOf(before), PAGE];
        const { entries, rows } = await read(LIST_OWNER, values, mode);
        expect(rows).toBe(PAGE);
        expect(Object.keys(entries).sort()).toEqual([OWNERS, CORRUPT]);
        expect(entries[OWNERS]).toBeLessThanOrEqual(ASSET_STATUSES.length * PAGE);
      });

      it('reads unsuccessful uploads of all owners from their index', async () => {
        const statuses = ['REJECTED', 'FAILED', 'EXPIRED', 'CANCELLED'];
        const { entries, rows } = await read(LIST_UNSUCCESSFUL, [statuses, idOf(before), PAGE], mode);
        expect(rows).toBe(PAGE);
        expect(Object.keys(entries).sort()).toEqual([UNSUCCESSFUL, CORRUPT]);
        expect(entries[UNSUCCESSFUL]).toBeLessThanOrEqual(statuses.length * PAGE);
      });

      it('reads all assets by the primary key', async () => {
        const { entries, rows } = await read(LIST_ALL, [idOf(before), ASSET_STATUSES, PAGE], mode);
        expect(rows).toBe(PAGE);
        expect(entries).toEqual({ [PRIMARY]: MAX_EXAMINED, [CORRUPT]: 0 });
      });

      it('examines a bounded number of entries for a rare status', async () => {
        const { entries, rows } = await read(LIST_ALL, [idOf(before), ['DELETED'], PAGE], mode);
        expect(rows).toBe(2);
        expect(entries).toEqual({ [PRIMARY]: MAX_EXAMINED, [CORRUPT]: 0 });
      });
    });
  });
});
