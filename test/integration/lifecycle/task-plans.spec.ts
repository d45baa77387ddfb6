import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { Statement } from '#libs/database';
import { PEEKS, TAKES } from '../../../libs/assets/src/due-assets.repository.js';
import { COLLECTABLE } from '../../../libs/content/src/stored-objects.repository.js';
import { type Plan, SeededDatabase } from '../../support/plans.js';
import { requests } from './due-uploads.js';

const BATCH = 100;
const HOUR_MS = 3_600_000;
const NIL = '00000000-0000-0000-0000-000000000000';
const READY = 20_000;
const DUE = 5_000;
const nodesOf = (plan: Plan): Plan[] => [plan, ...(plan.Plans ?? []).flatMap(nodesOf)];

describe('query plans of the tasks (real: PostgreSQL)', () => {
  let database: SeededDatabase;
  beforeAll(async () => {
    const ready = requests(3, READY).replace("'PENDING'", "'CANCELLED'");
    const late = new Date(Date.now() + HOUR_MS).toISOString();
    database = await SeededDatabase.create(`
      ${requests(1, 2 * DUE)}; ${requests(2, 10)}; ${ready};
      update media_assets set status = 'CANCELLED', incoming_present = true where owner_id = 1 and right(asset_id::text, 1) < '8';
      update media_assets set next_check_at = '${late}' where owner_id = 2;
      update media_assets set upload_deadline_at = now() where owner_id = 1 and right(asset_id::text, 1) > 'b';
      insert into stored_objects (scope, sha256, crc32c, size_bytes, state, pinned_until, created_at)
        select '', lpad(n::text, 64, '0'), 'AAAAAA==', 1, 'LIVE', case when n % 2 = 0 then now() - interval '1 hour' end, now()
        from generate_series(1, ${DUE}) n`);
  });
  afterAll(() => database?.[Symbol.asyncDispose]());

  const nodesIn = async (statement: Statement<unknown>, values: string): Promise<Plan[]> => {
    const { name, text } = statement;
    await database.client.query(`prepare ${name} as ${text}`);
    await database.client.query('begin');
    const nodes = nodesOf(await database.explain(`execute ${name}(${values})`));
    await database.client.query('rollback');
    await database.client.query(`deallocate ${name}`);
    expect(nodes.map((node) => node['Node Type'])).not.toContain('Seq Scan');
    return nodes;
  };
  /** Rows that a statement reads from an index. */
  const readFrom = (nodes: readonly Plan[], index: string) => {
    const node = nodes.find((node) => node['Index Name'] === index)!;
    return node['Actual Rows'] + (node['Rows Removed by Filter'] ?? 0);
  };

  describe.each(['force_custom_plan', 'force_generic_plan'])('%s', (mode) => {
    beforeAll(() => database.client.query(`set plan_cache_mode = ${mode}`));

    it.each([
      // Half of the uploads that are due have passed their deadline.
      ['unfinished', 'media_assets_unfinished_idx', 3 * BATCH],
      ['incoming', 'media_assets_incoming_waste_idx', BATCH],
      // The other half is due too; a batch reads about as many of those.
      ['expired', 'media_assets_unfinished_idx', 6 * BATCH],
    ] as const)('reads only due rows: %s', async (which, index, most) => {
      for (const [skippedOwners, read] of [
        ['{}', most],
        // All uploads that are due belong to the skipped owner; rows that were updated may be read twice.
        ['{1}', 3 * DUE],
      ] as const) {
        const taken = await nodesIn(TAKES[which], `now(), ${BATCH}, '${skippedOwners}'`);
        expect(readFrom(taken, index)).toBeLessThanOrEqual(read);
      }
      const peeked = await nodesIn(PEEKS[which], `now(), ${BATCH}, '-infinity', '${NIL}', '{}'`);
      // An incremental sort reads one row of the next time.
      expect(readFrom(peeked, index)).toBeLessThanOrEqual(most + 1);
    });

    it('reads only the objects to collect next', async () => {
      const nodes = await nodesIn(COLLECTABLE, `now(), ${BATCH}, null, 0`);
      expect(readFrom(nodes, 'stored_objects_unreferenced_idx')).toBeLessThanOrEqual(BATCH);
      const later = await nodesIn(COLLECTABLE, `now(), ${BATCH}, null, 1000`);
      expect(readFrom(later, 'stored_objects_unreferenced_idx')).toBeLessThanOrEqual(BATCH);
    });
  });
});
