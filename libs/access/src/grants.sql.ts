import { CALLER_PRINCIPAL_KINDS } from '#libs/domain';
import { MAX_FEATURE_GRANTS, MAX_GRANTS } from './grants.js';
import { heldSql, type ValidSource } from './principal-source.js';

/*
 * SQL of the table asset_acl, as parts of statements of other libs: their hot paths take one round trip.
 */

const AND_UNEXPIRED = 'and (g.expires_at is null or g.expires_at > now())';

/**
 * Expression for {@link AccessTarget.granted} as text[], for statements with the table alias `media_assets a`. A grant to a
 * principal of a feature counts as READ, whatever its row says. Owners need no grant, so no shares are looked up for them.
 * @param principals placeholder of the caller's principals as text[]
 * @param sources principals of features that a caller may hold
 */
export function grantedSql(principals: string, sources: readonly ValidSource[] = []): string {
  // Hides the length of the array from the planner, which would otherwise plan the statement anew for each execution.
  const callers = `(select ${principals}::text[])::text[]`;
  const own = `select distinct g.permission::text from asset_acl g
     where g.asset_id = a.asset_id and g.principal = any(${callers})
       ${AND_UNEXPIRED}`;
  if (sources.length === 0) return `array(${own})`;
  const held = sources.map((source) => heldSql(source, 'g.principal', callers)).join('\n         or ');
  return `array(${own}
     union all (select 'READ' from asset_acl g
       where g.asset_id = a.asset_id and 'user:' || a.owner_id <> all(${callers}) ${AND_UNEXPIRED}
         and (${held}) limit 1))`;
}

/** Expression for the grants of `a.asset_id` as JSON: those of clients and of features. */
export const GRANTS_SQL = `(select coalesce(json_agg(e), '[]') from (
         select l.principal, l.permission, l.expires_at as "expiresAt" from asset_acl l
         where l.asset_id = a.asset_id order by l.principal, l.permission limit ${MAX_GRANTS + MAX_FEATURE_GRANTS}) e)`;

/**
 * Statement that inserts the access lists of new assets.
 * @param items relation with the columns `id`, `acl` (JSON of grants), `now` (time of creation), `sizeBytes` and `filename`
 */
export const insertGrantsSql = (
  items: string,
) => `insert into asset_acl (asset_id, principal, permission, expires_at, created_at, size_bytes, sort_name)
      select i.id, g.principal, g.permission, g."expiresAt", i.now, i."sizeBytes", lower(i.filename) from ${items} i,
        jsonb_to_recordset(i.acl) as g (principal text, permission permission, "expiresAt" timestamptz)`;

/** Condition for the rows of `asset_acl g` with principals of features. Equals the condition of the index `asset_acl_features_idx`. */
export const IS_FEATURE_GRANT = [
  `g.principal <> '*'`,
  ...CALLER_PRINCIPAL_KINDS.map((kind) => `g.principal not like '${kind}:%'`),
].join(' and ');
