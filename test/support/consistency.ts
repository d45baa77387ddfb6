import pg from 'pg';
import { INSTALLATION_KEY } from '#libs/domain';
import { NAMES, type Emulators } from '../../libs/testing/src/emulators.js';

/** Queries that find no rows once all work is done. Each row describes one problem. */
const NEVER = [
  // Invariant 3: no asset waits forever.
  `select format('%s is %s', asset_id, status) as problem from media_assets where status in ('PENDING', 'PROCESSING')`,
  // Invariant 4: each asset reaches one final status, once. An asset that is purged while it waits reaches none.
  `select format('%s ended %s times: %s', asset_id, count(*) filter (where type = any(ends)), string_agg(type, ', ' order by id)) as problem
     from domain_events, (values (array['asset.ready', 'asset.adopted', 'asset.rejected', 'asset.failed', 'asset.expired',
       'asset.cancelled', 'asset.abandoned', 'asset.applied'])) as e (ends)
     group by asset_id having count(*) filter (where type = any(ends)) <>
       (case when bool_or(type = 'asset.purged') and not bool_or(type = any(ends)) then 0 else 1 end)`,
  `select format('%s has no event', asset_id) as problem from media_assets a
     where not exists (select from domain_events e where e.asset_id = a.asset_id)`,
  // Invariant 5: the quota is the sum over the owner's assets.
  `select format('quota of %s is %s, its assets make %s', owner_id, held, made) as problem
     from (select owner_id, row(used_bytes, used_assets, reserved_bytes, reserved_assets) as held from owner_quotas) q
     full join (select owner_id, row(
         coalesce(sum(size_bytes) filter (where stored_object_id is not null), 0)::bigint,
         (count(*) filter (where stored_object_id is not null))::int,
         coalesce(sum(size_bytes) filter (where status in ('PENDING', 'PROCESSING', 'FAILED')), 0)::bigint,
         (count(*) filter (where status in ('PENDING', 'PROCESSING', 'FAILED')))::int) as made
       from media_assets group by owner_id) s using (owner_id)
     where held is distinct from coalesce(made, row(0::bigint, 0, 0::bigint, 0))`,
  `select format('%s is %s and records an upload session', asset_id, status) as problem from media_assets
     where upload_session is not null and status <> 'PENDING'`,
  // Invariant 6: the count is the number of assets that point at the object.
  `select format('object %s is %s and counts %s references, %s point at it', o.id, o.state, o.ref_count, count(a.asset_id)) as problem
     from stored_objects o left join media_assets a on a.stored_object_id = o.id
     group by o.id having o.ref_count <> count(a.asset_id) or (o.ref_count > 0 and o.state not in ('LIVE', 'QUARANTINED')) or (o.ref_count = 0 and o.state = 'LIVE' and coalesce(o.pinned_until <= now(), true))`,
  `select format('%s is %s, stored object %s', asset_id, status, coalesce(stored_object_id::text, 'none')) as problem from media_assets
     where (status = 'READY') <> (stored_object_id is not null) and status <> 'DELETED'`,
  // Invariant 2: a READY asset was scanned, its bytes are served, and its properties are recorded.
  `select format('%s is READY, its object %s, scanned by %s', a.asset_id, o.state, a.scanned_by) as problem
     from media_assets a join stored_objects o on o.id = a.stored_object_id
     where a.status = 'READY' and (o.state <> 'LIVE' or a.scanned_by is null
       or not exists (select from asset_properties p where p.asset_id = a.asset_id))`,
  `select format('object %s is LIVE, scanned by %s at %s', id, scanned_by, scanned_at) as problem
     from stored_objects where state = 'LIVE' and (scanned_by is null or scanned_at is null)`,
  // The variants of an object are exactly the variants of the profiles.
  `select format('object %s has the variants "%s" and should have "%s"', o.id, v.made, o.variant_specs) as problem
     from stored_objects o left join (
       select stored_object_id, string_agg(spec, ' ' order by entry) || ' ' ||
         left(encode(sha256(convert_to(string_agg(entry, ' ' order by entry), 'UTF8')), 'hex'), 16) as made
       from (select *, (spec || '=' || name) collate "C" as entry from object_variants) named group by 1) v
       on v.stored_object_id = o.id
     where o.state = 'LIVE' and o.variants_reason is null and o.variant_specs is distinct from v.made`,
  `select format('object %s has variants, and the reason %s for having none', id, variants_reason) as problem
     from stored_objects o
     where variants_reason is not null and exists (select from object_variants where stored_object_id = o.id)`,
];

const KNOWN = `select c.bucket || '/' || c.key || '#' || c.version as name from object_copies c
  union all select v.bucket || '/' || v.key || '#' || v.version from object_variants v`;
/** Only assets that failed for good keep their incoming bytes. */
const KEPT = `select asset_id || '#' || claimed_generation as name from media_assets where status = 'FAILED'`;

async function generations(emulators: Emulators, bucket: string): Promise<string[]> {
  const [files] = await emulators.client.bucket(bucket).getFiles();
  return files
    .filter(({ name }) => name !== INSTALLATION_KEY)
    .map(({ name, metadata }) => `${name}#${metadata.generation}`);
}

const difference = (some: readonly string[], others: readonly string[]) =>
  some.filter((one) => !others.includes(one));

/**
 * Describes the violations of the invariants 3 to 6 in the database and the buckets. Empty if there are none.
 * Call it while no process works: the steps that follow a transition are not part of its transaction.
 */
export async function inconsistencies(databaseUrl: string, emulators: Emulators): Promise<string[]> {
  const client = new pg.Client({
    connectionString: databaseUrl,
    connectionTimeoutMillis: 30_000,
    query_timeout: 30_000,
  });
  await client.connect();
  try {
    const problems: string[] = [];
    for (const sql of NEVER) {
      const { rows } = await client.query<{ problem: string }>(sql);
      problems.push(...rows.map(({ problem }) => problem));
    }
    const names = async (sql: string) =>
      (await client.query<{ name: string }>(sql)).rows.map(({ name }) => name);
    const [known, kept] = [await names(KNOWN), await names(KEPT)];
    const content = (await generations(emulators, NAMES.contentBucket)).map(
      (name) => `${NAMES.contentBucket}/${name}`,
    );
    const incoming = await generations(emulators, NAMES.incomingBucket);
    return [
      ...problems,
      ...difference(content, known).map((name) => `object ${name} has no row`),
      ...difference(known, content).map((name) => `object ${name} of a row is missing`),
      ...difference(incoming, kept).map((name) => `incoming object ${name} is left over`),
      ...difference(kept, incoming).map((name) => `incoming object ${name} is missing`),
    ];
  } finally {
    await client.end();
  }
}
