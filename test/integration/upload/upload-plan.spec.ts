import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type pg from 'pg';
import { SHARE_EXISTING } from '../../../libs/upload/src/own-duplicates.repository.js';
import { CREATE } from '../../../libs/upload/src/new-assets.repository.js';
import { blocksOf, SeededDatabase } from '../../support/plans.js';

const ASSETS = 50_000;
/** Upper bound of the blocks read; the table and its indexes have thousands. */
const MOST_BLOCKS = 400;

/** One owner with READY assets only, each with different bytes. */
const SEED = `
  insert into stored_objects (id, sha256, crc32c, size_bytes, ref_count, state, created_at)
    values (1, repeat('0', 64), 'AAAAAA==', 1, 1, 'LIVE', now());
  insert into owner_quotas (owner_id, used_bytes, used_assets) values (1, ${ASSETS}, ${ASSETS});
  insert into media_assets (asset_id, owner_id, bucket, object_key, filename, mime_type, declared_type, size_bytes,
      checksum_sha256, status, stored_object_id, upload_method, request_id, url_expires_at, upload_deadline_at,
      next_check_at, created_at, updated_at, ready_at)
    select lpad(to_hex(n), 32, '0')::uuid, 1, 'b', 'k' || n, 'f', 'image/jpeg', 'image/jpeg', 1, lpad(n::text, 64, '0'), 'READY',
      1, 'PUT', 'r', now(), now(), now(), now(), now(), now()
    from generate_series(1, ${ASSETS}) n`;

function item(ownerId: number, checksumSha256: string) {
  const now = new Date();
  return {
    ...{
      id: randomUUID(),
      ownerId: String(ownerId),
      bucket: 'b',
      filename: 'f',
      mimeType: 'image/jpeg',
      sizeBytes: 1,
    },
    ...{ key: 'k', checksumSha256, crc32c: null, method: 'PUT', idempotencyKey: null, fingerprint: null },
    ...{ requestId: 'r', urlExpiresAt: now, uploadDeadlineAt: now, nextCheckAt: now, now },
    ...{ metadata: [], acl: [], adopt: true },
  };
}

describe('query plans of upload requests (real: PostgreSQL)', () => {
  let database: SeededDatabase;
  let client: pg.Client;
  beforeAll(async () => {
    database = await SeededDatabase.create(SEED);
    ({ client } = database);
  });
  afterAll(() => database?.[Symbol.asyncDispose]());

  it.each(['force_custom_plan', 'force_generic_plan'])(
    'read few blocks for new uploads: %s',
    async (mode) => {
      await client.query(`set plan_cache_mode = ${mode}`);
      await client.query(`prepare ${mode} as ${CREATE.text}`);
      const items = [1, 2, 3, 4].map((owner) => item(owner, 'f'.repeat(64)));
      const plan = await database.explain(`execute ${mode}(1000000, 1000000, '${JSON.stringify(items)}')`);
      expect(blocksOf(plan)).toBeLessThan(MOST_BLOCKS);
      const { rows: created } = await client.query('select from media_assets where asset_id = any($1)', [
        items.map(({ id }) => id),
      ]);
      expect(created).toHaveLength(4);
    },
  );

  it.each(['force_custom_plan', 'force_generic_plan'])(
    'read few blocks for duplicates of an owner with many assets: %s',
    async (mode) => {
      await client.query(`set plan_cache_mode = ${mode}`);
      await client.query(`prepare adopt_${mode} as ${SHARE_EXISTING.text}`);
      const items = [5, 6, 7].map((sum) => item(1, String(sum).padStart(64, '0')));
      const plan = await database.explain(
        `execute adopt_${mode}(1000000, 1000000, '${JSON.stringify(items)}')`,
      );
      expect(plan['Actual Rows']).toBe(3);
      expect(blocksOf(plan)).toBeLessThan(MOST_BLOCKS);
    },
  );

  it('insert no row for a duplicate of the owner’s object', async () => {
    const items = [item(1, '7'.padStart(64, '0')), item(2, '7'.padStart(64, '0'))];
    const { rows } = await client.query(CREATE.text, [1_000_000, 1_000_000, JSON.stringify(items)]);
    expect(rows).toEqual([{ id: items[1]!.id }]);
  });
});
