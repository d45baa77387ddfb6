import { inBulk } from '../test/support/in-bulk.ts';
import type { Stack } from './stack.ts';

/** Objects that the assets share. */
const OBJECTS = 1_000;

export interface StoredAssets {
  readonly assets: number;
  /** The assets belong to `owners` owners in turn, from this id. */
  readonly firstOwner: number;
  readonly owners: number;
  /** Whether each asset has properties, and is granted to everyone and to one of this many groups. */
  readonly groups?: number;
}

const GROUP = 'bench-';
/** Group of an asset: its number modulo the number of groups. */
export const groupOf = (number: number): string => GROUP + number;

const rowsOf = ({ assets, firstOwner, owners, groups = 0 }: StoredAssets) => `
  insert into stored_objects (sha256, crc32c, size_bytes, ref_count, state, created_at)
    select md5('object' || n) || md5(n || 'object'), 'AAAAAA==', 1, 1, 'LIVE', now() from generate_series(1, ${OBJECTS}) n
    on conflict do nothing;
  create temp table objects as
    select id as object, row_number() over (order by id) - 1 as place from stored_objects where crc32c = 'AAAAAA==' order by id limit ${OBJECTS};
  create temp table added as
    select lpad(to_hex(${firstOwner}), 8, '0') || '-0000-7000-8000-' || lpad(to_hex(n), 12, '0') as id, n,
      ${firstOwner} + n % ${owners} as owner, '2024-01-01'::timestamptz + n * interval '1 minute' as created_at
    from generate_series(1, ${assets}) n;
  insert into media_assets (asset_id, owner_id, bucket, object_key, filename, mime_type, declared_type, size_bytes, checksum_sha256, status,
      stored_object_id, upload_method, request_id, url_expires_at, upload_deadline_at, next_check_at, created_at, updated_at, ready_at)
    select a.id::uuid, owner, 'bench', 'k', 'IMG_' || lpad((n::bigint * 7919 % ${assets})::text, 7, '0') || '.JPG', 'image/jpeg', 'image/jpeg',
      1000 + n::bigint * 104729 % 10000000, md5(a.id) || md5(a.id || 'b'), 'READY', object, 'PUT', 'bench', created_at, created_at,
      created_at, created_at, created_at, created_at
    from added a join objects on place = n % ${OBJECTS};
  ${
    groups === 0
      ? ''
      : `insert into asset_properties (asset_id, owner_id, created_at, width, height, taken_at_local)
    select id::uuid, owner, created_at, 4000, 3000, (created_at - interval '1 year') at time zone 'UTC' from added;
  insert into asset_acl (asset_id, principal, permission, created_at, size_bytes, sort_name, taken_at_local)
    select m.asset_id, principal, 'READ', m.created_at, m.size_bytes, lower(m.filename), (m.created_at - interval '1 year') at time zone 'UTC'
    from added a join media_assets m on m.asset_id = a.id::uuid, lateral (
      values ('*'), ('group:${GROUP}' || n % ${groups})) g (principal);`
  }
  drop table objects, added`;

/** Adds READY assets without bytes. */
export async function storeAssets(stack: Stack, stored: StoredAssets): Promise<void> {
  await stack.query(`
    set work_mem = '256MB';
    set maintenance_work_mem = '256MB';
    ${inBulk(['media_assets', 'asset_properties', 'asset_acl'], rowsOf(stored))};
    reset work_mem;
    reset maintenance_work_mem`);
  await stack.query('vacuum analyze media_assets, asset_properties, asset_acl, stored_objects');
}
