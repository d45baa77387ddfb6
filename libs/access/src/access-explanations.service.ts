import { Injectable } from '@nestjs/common';
import { Database } from '#libs/database';
import { type AssetStatus, invalid, isAssetId, parsePrincipal, type Permission } from '#libs/domain';
import { MAX_GROUPS } from '#libs/identity';
import { accessStatement } from './access-statement.js';
import type { ListedEntry } from './grants.sql.js';
import { type AccessTarget, may, requiredGrants } from './permissions.js';
import { PrincipalSources } from './principal-sources.js';

/** Principals of one explanation: those of a caller with the most groups. */
export const MAX_EXPLAINED_PRINCIPALS = 1 + MAX_GROUPS + 1;

/** Stands for the token of an operator, which no principal represents. */
const OPERATOR = 'ADMIN';

/** Whether a permission is given, and why. */
export interface AccessExplanation {
  readonly allowed: boolean;
  /** See the description of the GraphQL type. */
  readonly because: readonly string[];
}

interface ExplainedRow {
  readonly ownerId: bigint;
  readonly status: AssetStatus;
  readonly entries: readonly ListedEntry[];
  readonly now: Date;
}

const EXPLAIN = accessStatement<ExplainedRow>(
  'access_explain',
  (_, entries) => `select a.owner_id as "ownerId", a.status, ${entries('$2')} as entries, now() as now
    from media_assets a where a.asset_id = $1`,
);

/** An entry as the decision sees it. */
interface Entry {
  readonly permission: Permission;
  /** Milliseconds since the epoch; Infinity for never. */
  readonly end: number;
  readonly isActive: boolean;
  readonly byShare: boolean;
  readonly text: string;
}

/** Explains access decisions to operators. */
@Injectable()
export class AccessExplanationsService {
  constructor(
    private readonly database: Database,
    private readonly sources: PrincipalSources,
  ) {}

  /**
   * Explains which permission callers with these principals have on an asset.
   * @param principals {@link MAX_EXPLAINED_PRINCIPALS} at most, including those of features; `ADMIN` stands for an operator
   * @throws StowageError invalid PRINCIPAL_COUNT, PRINCIPAL_INVALID; unavailable
   */
  async explain(
    assetId: string,
    principals: readonly string[],
    permission: Permission,
  ): Promise<AccessExplanation> {
    const callers = this.parse(principals);
    const [row] = isAssetId(assetId)
      ? await this.database.query(EXPLAIN.for(this.sources), [assetId, [...callers]])
      : [];
    if (row === undefined) return { allowed: false, because: ['NO_ASSET'] };
    const entries = row.entries.map((entry) => entryOf(entry, row.now.getTime()));
    const isAdmin = callers.has(OPERATOR);
    const isOwner = callers.has(`user:${row.ownerId}`);
    const asset: AccessTarget = { ...row, granted: entries.filter(({ isActive }) => isActive).map(grantOf) };
    const allowed = may({ isAdmin, ownerId: isOwner ? row.ownerId : NO_OWNER }, permission, asset);
    const roles = [...(isOwner ? ['OWNER'] : []), ...(isAdmin ? [OPERATOR] : [])];
    if (roles.length > 0) return { allowed, because: roles };
    return { allowed, because: reasonsOf(row.status, permission, entries, allowed) };
  }

  private parse(principals: readonly string[]): ReadonlySet<string> {
    if (principals.length < 1 || principals.length > MAX_EXPLAINED_PRINCIPALS) {
      throw invalid('PRINCIPAL_COUNT', `Give 1 to ${MAX_EXPLAINED_PRINCIPALS} principals.`, ['principals']);
    }
    return new Set(
      principals.map((text, index) =>
        text === OPERATOR || this.sources.includes(text) ? text : parsePrincipal(text, ['principals', index]),
      ),
    );
  }
}

/** No owner has this id. */
const NO_OWNER = -1n;

const numberOf = (end: number | string | null) => (end === null ? Infinity : Number(end));

/** A grant counts until the earlier of its end and that of the last share by which the caller holds its principal. */
function entryOf({ principal, permission, end, isOwn, shares }: ListedEntry, now: number): Entry {
  const ends = isOwn ? [Infinity] : (shares ?? []).map((share) => numberOf(share.end));
  const until = Math.min(numberOf(end), Math.max(...ends));
  const isActive = until > now;
  const counted: Permission = /^(user|group):/.test(principal) ? permission : 'READ';
  const holders = isOwn
    ? []
    : (shares ?? [])
        .filter((share) => !isActive || numberOf(share.end) > now)
        .map((share) => share.principal);
  const via = holders.length === 0 ? '' : ` via ${holders.join(', ')}`;
  const ending = until === Infinity ? '' : ` until ${new Date(until).toISOString()}`;
  const text = `${principal} ${permission}${via}${ending}`;
  return { permission: counted, end: until, isActive, byShare: !isOwn, text };
}

const grantOf = ({ permission, end, byShare }: Entry) => ({
  permission,
  until: end === Infinity ? null : new Date(end),
  byShare,
});

/** The entries that give the permission, or why none does. */
function reasonsOf(
  status: AssetStatus,
  permission: Permission,
  entries: readonly Entry[],
  allowed: boolean,
): string[] {
  const required = requiredGrants(status, permission);
  const among = (lists: typeof required) => (entry: Entry) =>
    lists.some((permissions) => permissions.includes(entry.permission));
  const active = entries.filter(({ isActive }) => isActive);
  if (allowed) return active.filter(among(required)).map(({ text }) => text);
  const missing = required.filter((permissions) => !active.some(among([permissions])));
  const expired = entries.filter((entry) => !entry.isActive && among(missing)(entry));
  const isHidden = status === 'DELETED' && permission !== 'DELETE' && missing.includes(required.at(-1)!);
  return [
    ...(isHidden ? ['DELETED'] : []),
    ...expired.map(({ text }) => `EXPIRED ${text}`),
    ...(isHidden || expired.length > 0 ? [] : ['NO_GRANT']),
  ];
}
