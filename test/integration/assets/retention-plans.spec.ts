import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { PURGEABLE } from '../../../libs/assets/src/purgeable-assets.repository.js';
import { blocksOf, type Plan, SeededDatabase } from '../../support/plans.js';

const ASSETS = 50_000;
/** One in ten assets was deleted, and one in ten expired, at different times. The others failed. */
const SEED = `
  set session_replication_role = replica;
  insert into media_assets (asset_id, owner_id, bucket, object_key, filename, mime_type, declared_type, size_bytes, checksum_sha256,
      status, upload_method, request_id, url_expires_at, upload_deadline_at, next_check_at, created_at, updated_at, deleted_at, passed_checks)
    select lpad(to_hex(n * 7919), 32, '0')::uuid, n % 100, 'b', 'k', 'f', 'm', 'm', 1, lpad(n::text, 64, '0'),
      (case n % 10 when 0 then 'DELETED' when 1 then 'EXPIRED' else 'FAILED' end)::asset_status, 'PUT', 'r', t, t, t, t, t,
      case n % 10 when 0 then t end, '{}'
    from generate_series(1, ${ASSETS}) n, lateral (select '2026-01-01'::timestamptz + n * interval '1 minute' as t) at;
  reset session_replication_role`;

describe('the search for assets whose retention has ended (real: PostgreSQL)', () => {
  let database: SeededDatabase;
  beforeAll(async () => {
    database = await SeededDatabase.create(SEED);
  });
  afterAll(() => database?.[Symbol.asyncDispose]());

  const nodesOf = (plan: Plan): Plan[] => [plan, ...(plan.Plans ?? []).flatMap(nodesOf)];
  const NIL = '00000000-0000-0000-0000-000000000000';

  it.each([
    ['deleted', 'media_assets_deleted_idx'],
    ['finished', 'media_assets_finished_idx'],
  ] as const)('reads only a page of the index for %s assets', async (which, index) => {
    for (const [before, after, rows] of [
      ['2025-12-01', '-infinity', 0],
      ['2100-01-01', '-infinity', 100],
      ['2100-01-01', '2026-01-20', 100],
      ['2100-01-01', '2099-01-01', 0],
    ] as const) {
      const plan = await database.explain(PURGEABLE[which].text, [before, 100, after, NIL]);
      expect(plan['Actual Rows']).toBe(rows);
      expect(nodesOf(plan).map((node) => node['Index Name'])).toContain(index);
      expect(blocksOf(plan)).toBeLessThan(150);
    }
  });
});
