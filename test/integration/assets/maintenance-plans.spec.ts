import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type pg from 'pg';
import { EXPIRED_GRANT_BATCH, REMOVE_EXPIRED } from '../../../libs/access/src/expired-grants.service.js';
import { FIND_READ_BY, LIST_NOTES } from '../../../libs/content/src/feature-properties.repository.js';
import { CLAIMS } from '../../../libs/content/src/object-maintenance.repository.js';
import { blocksOf, type Plan, SeededDatabase } from '../../support/plans.js';

const OBJECTS = 50_000;
const NEWEST = 2n ** 63n - 1n;

const SEED = `
  insert into stored_objects (id, sha256, crc32c, size_bytes, ref_count, state, created_at, scanned_by, variant_specs, read_by)
    select n, lpad(n::text, 64, '0'), 'AAAAAA==', 1, 1, 'LIVE', now(), 'm', 'm', 'm' from generate_series(1, ${OBJECTS}) n;
  insert into object_copies (stored_object_id, location, bucket, key, version)
    select n, 'primary', 'content', 'k' || n, '1' from generate_series(1, ${OBJECTS}) n`;

describe('claims for a new scan or new variants (real: PostgreSQL)', () => {
  let database: SeededDatabase;
  let client: pg.Client;
  beforeAll(async () => {
    database = await SeededDatabase.create(SEED);
    ({ client } = database);
  });
  afterAll(() => database?.[Symbol.asyncDispose]());

  const values = (current: string, before = NEWEST) => [before, [current], new Date(), new Date()];
  const claim = async (what: keyof typeof CLAIMS, current: string, before?: bigint) => {
    const { rows } = await client.query<{ id: string }>(CLAIMS[what].text, values(current, before));
    return rows[0]?.id;
  };

  it.each(['scan', 'variants'] as const)(
    'finds that no object is due for %s without reading every row',
    async (what) => {
      for (const before of [NEWEST, BigInt(OBJECTS / 2)]) {
        const plan = await database.explain(CLAIMS[what].text, values('m', before));
        expect(blocksOf(plan)).toBeLessThan(50);
      }
    },
  );

  it.each([
    ['scan', 'scanned_by'],
    ['variants', 'variant_specs'],
  ] as const)('finds the newest object due for %s, whatever version is recorded', async (what, column) => {
    const record = (text: string | null, id: number) =>
      client.query(`update stored_objects set ${column} = $1, claimed_until = null where id = $2`, [
        text,
        id,
      ]);
    await record('a', 10);
    await record('z', 20);
    await record('b', 30);
    await record(null, 40);
    // An object that was never scanned is due; an object without variants is not.
    const found = what === 'scan' ? ['40', '30', '20', '10', undefined] : ['30', '20', '10', undefined];
    for (const id of found) {
      // The claim expires immediately: `values` passes the current time as its end.
      expect(await claim(what, 'm', id === undefined ? 10n : BigInt(id) + 1n)).toBe(id);
    }
    expect(await claim(what, 'm')).toBe(found[0]);
    for (const id of [10, 20, 30, 40]) await record('m', id);
    expect(await claim(what, 'm')).toBeUndefined();
  });

  it('lists the distinct notes of the readers of features without reading every row', async () => {
    const plan = await database.explain(LIST_NOTES.text, []);
    expect(plan['Actual Rows']).toBe(1);
    expect(blocksOf(plan)).toBeLessThan(50);
  });

  it('finds a batch of the newest objects with some notes of the readers of features', async () => {
    await client.query(`update stored_objects set read_by = case id when 10 then 'a' when 20 then 'z' end,
      claimed_until = case id when 40 then '2100-01-01'::timestamptz end where id in (10, 20, 30, 40)`);
    const notes = await client.query<{ note: string }>(LIST_NOTES.text);
    expect(notes.rows.map(({ note }) => note)).toEqual(['z', 'm', 'a', '']);
    const find = async (...notes: string[]) => {
      const { rows } = await client.query<{ id: string; readBy: string }>(FIND_READ_BY.text, [
        notes,
        new Date(),
        NEWEST,
      ]);
      return rows.map(({ id, readBy }) => [id, readBy]);
    };
    expect(await find('a', '')).toEqual([
      ['30', ''],
      ['10', 'a'],
    ]);
    const plan = await database.explain(FIND_READ_BY.text, [['z', 'm', 'a', ''], new Date(), NEWEST]);
    expect(plan['Actual Rows']).toBe(500);
    expect(blocksOf(plan)).toBeLessThan(3000);
  });
});

const GRANTS = 300_000;

/** Of five grants one has expired, one will expire, and three have no expiry. Many grants expired at one time. */
const GRANT_SEED = `
  set session_replication_role = replica;
  insert into asset_acl (asset_id, principal, permission, created_at, size_bytes, sort_name, expires_at)
    select lpad(to_hex(n * 7919::bigint % ${GRANTS}), 32, '0')::uuid, 'user:7', 'READ', now(), 1, 'a', case n % 5
        when 0 then '2026-01-01'::timestamptz + n / 5000 * interval '1 hour' when 1 then '2100-01-01'::timestamptz end
    from generate_series(1, ${GRANTS}) n;
  reset session_replication_role`;

describe('the removal of expired grants (real: PostgreSQL)', () => {
  let database: SeededDatabase;
  beforeAll(async () => {
    database = await SeededDatabase.create(GRANT_SEED);
  });
  afterAll(() => database?.[Symbol.asyncDispose]());

  const nodesOf = (plan: Plan): Plan[] => [plan, ...(plan.Plans ?? []).flatMap(nodesOf)];
  /** The plan of one batch, whose removals are undone. */
  async function planOf(mode: string, start: string) {
    await database.client.query(
      `begin; set local plan_cache_mode = ${mode}; prepare removal as ${REMOVE_EXPIRED.text}`,
    );
    const plan = await database.explain(`execute removal('${start}', '2027-01-01', ${EXPIRED_GRANT_BATCH})`);
    await database.client.query('rollback; deallocate removal');
    return plan;
  }

  it.each(['force_custom_plan', 'force_generic_plan'])(
    'reads and removes one batch by indexes, wherever it starts: %s',
    async (mode) => {
      const blocks: number[] = [];
      for (const start of ['-infinity', '2026-01-02']) {
        const plan = await planOf(mode, start);
        const scans = nodesOf(plan)
          .filter((node) => /(?<!CTE) Scan$/.test(node['Node Type']))
          .map((node) => [
            node['Index Name'] ?? node['Node Type'],
            node['Actual Rows'] * node['Actual Loops'],
          ]);
        expect(scans).toEqual([
          ['asset_acl_expires_at_idx', EXPIRED_GRANT_BATCH],
          ['Tid Scan', EXPIRED_GRANT_BATCH],
        ]);
        blocks.push(blocksOf(plan));
      }
      expect(Math.max(...blocks)).toBeLessThan(20 * EXPIRED_GRANT_BATCH);
      expect(Math.max(...blocks) / Math.min(...blocks)).toBeLessThan(1.6);
    },
  );

  it('ends without reading grants that have not expired', async () => {
    const plan = await planOf('force_generic_plan', '2026-12-31');
    expect(blocksOf(plan)).toBeLessThan(50);
  });
});
