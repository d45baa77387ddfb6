import { CALLER_PRINCIPAL_KINDS, type Permission, PERMISSIONS } from '#libs/domain';
import { MAX_FEATURE_GRANTS, MAX_GRANTS } from './grants.js';
import type { GrantedPermission } from './permissions.js';
import { sharesSql, type ValidSource } from './principal-source.js';

/*
 * SQL of the table asset_acl, as parts of statements of other libs: their hot paths take one round trip.
 */

const AND_UNEXPIRED = 'and (g.expires_at is null or g.expires_at > now())';
/** The end of a grant without one: several ends have a maximum only without nulls, and Prisma cannot read infinity. */
const NEVER = new Date('9999-12-31T23:59:59Z');
const endSql = (end: string) => `coalesce(${end}, '${NEVER.toISOString()}')`;
const ENDS = endSql('g.expires_at');

/** Hides the length of the array from the planner, which would otherwise plan the statement anew for each execution. */
const arrayOf = (principals: string) => `(select ${principals}::text[])::text[]`;

/** The value of {@link grantedSql}: the last end of the grants of each permission, then of those by shares. */
export type GrantedEnds = readonly (Date | null)[];

/**
 * Expression for {@link AccessTarget.granted}, for statements with the table alias `media_assets a`; {@link grantedOf} reads its value.
 * Grants to everyone and to principals of features count as READ, whatever their rows say. Owners need no grant, so no shares are
 * looked up for them.
 * @param principals placeholder of the caller's principals as text[]
 * @param sources principals of features that a caller may hold
 */
export function grantedSql(principals: string, sources: readonly ValidSource[] = []): string {
  const callers = arrayOf(principals);
  const ends = PERMISSIONS.map((permission) =>
    permission === 'READ'
      ? `max(${ENDS}) filter (where g.permission = 'READ' or g.principal = '*')`
      : `max(${ENDS}) filter (where g.permission = '${permission}' and g.principal <> '*')`,
  );
  const grants = `from asset_acl g where g.asset_id = a.asset_id ${AND_UNEXPIRED}`;
  if (sources.length > 0) {
    const held = perSource(sources, (source) =>
      sharesSql(source, 'g.principal', callers, (end) => `max(${endSql(end)})`),
    );
    // A condition, from which the planner derives a range of the index.
    const isFeature = sources.map(({ prefix }) => `starts_with(g.principal, '${prefix}:')`).join(' or ');
    // least() ignores nulls, so a principal that the caller does not hold must end at -infinity.
    ends.push(`(select nullif(max(least(${ENDS}, coalesce(${held}, '-infinity'))), '-infinity')
       ${grants} and (${isFeature}) and 'user:' || a.owner_id <> all(${callers}))`);
  }
  return `(select array[${ends.join(',\n       ')}]
     ${grants} and g.principal = any(${callers}))`;
}

/** Reads the value of {@link grantedSql}. */
export const grantedOf = (ends: GrantedEnds): readonly GrantedPermission[] =>
  ends.flatMap((end, index) =>
    end === null
      ? []
      : {
          permission: PERMISSIONS[index] ?? 'READ',
          until: end < NEVER ? end : null,
          byShare: index >= PERMISSIONS.length,
        },
  );

/** An entry of an access list that concerns the caller. Ends are in milliseconds since the epoch; null for never. */
export interface ListedEntry {
  readonly principal: string;
  readonly permission: Permission;
  readonly end: number | string | null;
  /** Whether the principal is one of the caller's own. */
  readonly isOwn: boolean;
  /** Shares by which the caller holds the principal, expired ones included; null without any. */
  readonly shares: readonly { readonly principal: string; readonly end: number | string | null }[] | null;
}

/** Expression for the entries of the access list of `a.asset_id` that concern the caller, expired ones included, as JSON. */
export function entriesSql(principals: string, sources: readonly ValidSource[]): string {
  const callers = arrayOf(principals);
  const shares = perSource(sources, (source) =>
    sharesSql(
      source,
      'g.principal',
      callers,
      (end) =>
        `json_agg(json_build_object('principal', s."${source.principal}", 'end', ${millisecondsOf(end)}) order by s."${source.principal}")`,
      { withExpired: true },
    ),
  );
  return `(select coalesce(json_agg(e order by e.principal, e.permission), '[]') from (
      select g.principal, g.permission, ${millisecondsOf('g.expires_at')} as end, g.principal = any(${callers}) as "isOwn",
        ${shares} as shares
      from asset_acl g where g.asset_id = a.asset_id) e
    where e."isOwn" or e.shares is not null)`;
}

/** Each principal belongs to one source at most. */
const perSource = (sources: readonly ValidSource[], valueOf: (source: ValidSource) => string) =>
  sources.length === 0
    ? 'null::json'
    : `case ${sources
        .map((source) => `when starts_with(g.principal, '${source.prefix}:') then ${valueOf(source)}`)
        .join('\n         ')} end`;

const millisecondsOf = (instant: string) => `extract(epoch from ${instant}) * 1000`;

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

/** Condition for the rows of `asset_acl g` with principals of callers. */
export const IS_CLIENT_GRANT = `not (${IS_FEATURE_GRANT})`;
