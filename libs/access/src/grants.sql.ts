import { MAX_GRANTS } from './grants.js';

/*
 * All SQL of the table asset_acl, as parts of statements of other libs: their hot paths take one round trip.
 */

/**
 * Expression for {@link AccessTarget.granted} as text[], for statements with the table alias `media_assets a`.
 * @param principals placeholder of the caller's principals as text[]
 */
export const grantedSql = (principals: string) =>
  `array(select distinct g.permission::text from asset_acl g
     where g.asset_id = a.asset_id and g.principal = any(${principals})
       and (g.expires_at is null or g.expires_at > now()))`;

/** Expression for the grants of `a.asset_id` as JSON, {@link MAX_GRANTS} at most. */
export const GRANTS_SQL = `(select coalesce(json_agg(e), '[]') from (
         select l.principal, l.permission, l.expires_at as "expiresAt" from asset_acl l
         where l.asset_id = a.asset_id order by l.principal, l.permission limit ${MAX_GRANTS}) e)`;

/** Statement that inserts the access lists of new assets. @param items relation with the columns `id` and `acl` (JSON of grants) */
export const insertGrantsSql = (
  items: string,
) => `insert into asset_acl (asset_id, principal, permission, expires_at)
      select i.id, g.principal, g.permission, g."expiresAt" from ${items} i,
        jsonb_to_recordset(i.acl) as g (principal text, permission permission, "expiresAt" timestamptz)`;
