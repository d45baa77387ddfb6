import type { AssetReceived } from '#libs/domain';
import type { World } from '../../libs/testing/src/world.js';
import type { Status } from './model.js';

/** A row of `media_assets`; instants are milliseconds. */
export interface AssetRow {
  readonly id: string;
  readonly owner: number;
  readonly status: Status;
  readonly deleted: boolean;
  readonly stored: number | null;
  readonly bucket: string;
  readonly key: string;
  readonly sum: string;
  readonly size: number;
  readonly filename: string;
  readonly idempotencyKey: string | null;
  readonly claimed: string | null;
  readonly attempt: number;
  readonly deadline: number;
  readonly method: 'PUT' | 'RESUMABLE';
  /** Whether an upload session is recorded. */
  readonly session: boolean;
  /** Time of deletion, or else of the last change. */
  readonly changedAt: number;
}

interface StoredRow {
  readonly id: number;
  readonly sum: string;
  readonly refs: number;
  readonly state: string;
  readonly pinned: number | null;
  readonly bucket: string | null;
  readonly key: string | null;
  readonly version: string | null;
}

interface QuotaRow {
  readonly owner: number;
  readonly usedBytes: number;
  readonly usedAssets: number;
  readonly reservedBytes: number;
  readonly reservedAssets: number;
}

/** Contents of the tables. */
export interface Tables {
  readonly assets: readonly AssetRow[];
  readonly stored: readonly StoredRow[];
  readonly quotas: readonly QuotaRow[];
  /** Events since the previous observation. */
  readonly events: readonly { readonly id: number; readonly type: string; readonly assetId: string }[];
  readonly letters: readonly { readonly id: number; readonly assetId: string; readonly state: string }[];
  readonly jobs: readonly { readonly id: string; readonly data: AssetReceived }[];
  readonly findings: readonly {
    readonly problem: string;
    readonly subject: string;
    readonly repaired: boolean;
  }[];
}

const millis = (column: string) => `(extract(epoch from ${column}) * 1000)::bigint`;

const OBSERVE = `select json_build_object(
  'assets', (select coalesce(json_agg(r), '[]') from (
    select asset_id as id, owner_id as owner, status, deleted_at is not null as deleted, stored_object_id as stored, bucket,
      object_key as key, checksum_sha256 as sum, size_bytes as size, filename, idempotency_key as "idempotencyKey", claimed_generation as claimed, attempt,
      ${millis('upload_deadline_at')} as deadline, upload_method as method, upload_session is not null as session,
      ${millis('coalesce(deleted_at, updated_at)')} as "changedAt"
    from media_assets) r),
  'stored', (select coalesce(json_agg(r), '[]') from (
    select o.id, o.sha256 as sum, o.ref_count as refs, o.state, ${millis('o.pinned_until')} as pinned, c.bucket, c.key, c.version
    from stored_objects o left join object_copies c on c.stored_object_id = o.id) r),
  'quotas', (select coalesce(json_agg(r), '[]') from (
    select owner_id as owner, used_bytes as "usedBytes", used_assets as "usedAssets", reserved_bytes as "reservedBytes",
      reserved_assets as "reservedAssets" from owner_quotas) r),
  'events', (select coalesce(json_agg(r order by r.id), '[]') from (
    select id, type, asset_id as "assetId" from domain_events where id > $1) r),
  'letters', (select coalesce(json_agg(r order by r.id), '[]') from (
    select id, asset_id as "assetId", state from dead_letters) r),
  'jobs', (select coalesce(json_agg(r order by r.attempt), '[]') from (
    select id, data, (data->>'attempt')::int as attempt from bullmq.job) r),
  'findings', (select coalesce(json_agg(r), '[]') from (
    select problem, subject, repaired from integrity_findings) r)) as seen`;

export async function observe(world: World, afterEvent: number): Promise<Tables> {
  const { rows } = await world.database.pool.query<{ seen: Tables }>({
    name: 'observe',
    text: OBSERVE,
    values: [afterEvent],
  });
  return rows[0]!.seen;
}
