import { CALLER_PRINCIPAL_KINDS } from '#libs/domain';
import { classContribution, type ContributedInstance } from '#libs/runtime';

/** Forms of ids, for TypeScript and PostgreSQL, and the column types that store them. */
const ID_TYPES = {
  bigint: { pattern: '^(0|[1-9][0-9]{0,17}|[1-8][0-9]{18})$', columns: ['bigint'] },
  uuid: { pattern: '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$', columns: ['uuid'] },
  text: { pattern: '^[A-Za-z0-9_.:-]{1,128}$', columns: ['text', 'character varying'] },
} as const;

/** A table of a feature that says which callers hold the feature's principals. All names are in lower case. */
export interface PrincipalSourceOptions {
  /** First part of the principals, e.g. `albums` for `albums:7`. No two features may have the same. */
  readonly prefix: string;
  readonly table: string;
  /** Column of the principal's second part. */
  readonly id: string;
  /** Default: bigint. An id is in its canonical form: decimal up to 8999999999999999999; lower case; letters, digits and `_.:-`. */
  readonly idType?: keyof typeof ID_TYPES;
  /** Text column of the callers: canonical principals as `parsePrincipal` returns them. `*` is everyone. */
  readonly principal: string;
  /** Column of type timestamptz at which a row ends to count; null for never. */
  readonly expiresAt?: string;
}

/**
 * Declares a {@link PrincipalSourceOptions} on the provider that writes the table. A caller whose principal is in an unexpired row
 * holds the principal `<prefix>:<id>` from the commit of the row to the commit of its removal. `FeatureGrantsService` grants READ
 * to such principals. The table needs a unique index on exactly the columns `id` and `principal`.
 * @example
 * @PrincipalSource({ prefix: 'albums', table: 'album_shares', id: 'album_id', principal: 'principal', expiresAt: 'expires_at' })
 * @Injectable()
 * export class AlbumSharesRepository {}
 */
export const PrincipalSource = classContribution<PrincipalSourceOptions, object>('PrincipalSource');

/** A source whose names are safe in SQL. */
export interface ValidSource extends Readonly<Required<Omit<PrincipalSourceOptions, 'expiresAt'>>> {
  readonly expiresAt: string | null;
}

/** The longest prefix leaves room for the longest id in a principal. */
const NAME = /^[a-z_][a-z0-9_]{0,62}$/;
const NAMES = ['prefix', 'table', 'id', 'principal', 'expiresAt'] as const;

/**
 * Validates all sources of a process and orders them by prefix.
 * @throws Error if a name or an id type is invalid, or a prefix is reserved or not unique
 */
export function validSources(
  declared: readonly Pick<ContributedInstance<PrincipalSourceOptions, object>, 'options' | 'source'>[],
): readonly ValidSource[] {
  const owners = new Map<string, string>();
  const sources = declared.map(({ options, source }) => {
    const { prefix, idType = 'bigint', expiresAt = null } = options;
    const fail = (problem: string) => new Error(`The principal source of ${source} ${problem}.`);
    for (const name of NAMES) {
      const value = options[name];
      if (!(name === 'expiresAt' && value === undefined) && !NAME.test(String(value))) {
        throw fail(`has an invalid ${name}: ${String(value)}`);
      }
    }
    if (!Object.hasOwn(ID_TYPES, idType)) throw fail(`has an invalid idType: ${String(idType)}`);
    if (CALLER_PRINCIPAL_KINDS.some((kind) => kind === prefix))
      throw fail(`uses the reserved prefix ${prefix}`);
    if (owners.has(prefix)) throw fail(`uses the prefix ${prefix} of ${owners.get(prefix)}`);
    owners.set(prefix, source);
    const { table, id, principal } = options;
    return { prefix, table, id, idType, principal, expiresAt };
  });
  return sources.sort((a, b) => (a.prefix < b.prefix ? -1 : 1));
}

/** Whether the text is a principal of the source, with an id in canonical form. */
export const isPrincipalOf = ({ prefix, idType }: ValidSource, text: string) =>
  text.startsWith(`${prefix}:`) && new RegExp(ID_TYPES[idType].pattern).test(text.slice(prefix.length + 1));

/** The columns that the table must have, with the types that each may have. */
export const columnsOf = ({
  id,
  idType,
  principal,
  expiresAt,
}: ValidSource): [column: string, types: readonly string[]][] => [
  [id, ID_TYPES[idType].columns],
  [principal, ID_TYPES.text.columns],
  ...(expiresAt === null ? [] : [[expiresAt, ['timestamp with time zone']] as [string, string[]]]),
];

/**
 * Scalar subquery over the shares by which the caller holds a principal of the source. PostgreSQL always looks up a scalar subquery
 * row by row, whereas it may plan `exists` as a join that reads all shares. Invalid ids match no row instead of failing.
 * @param held SQL of the principal
 * @param principals SQL of the caller's principals as text[]
 * @param valueOf returns the aggregate to select; its argument is the SQL of the end of the share `s`
 */
export function sharesSql(
  source: ValidSource,
  held: string,
  principals: string,
  valueOf: (end: string) => string,
  { withExpired = false } = {},
): string {
  const { prefix, table, id, idType, principal, expiresAt } = source;
  const text = `substr(${held}, ${prefix.length + 2})`;
  const end = expiresAt === null ? 'null::timestamptz' : `s."${expiresAt}"`;
  const unexpired =
    expiresAt === null || withExpired ? '' : ` and (s."${expiresAt}" is null or s."${expiresAt}" > now())`;
  return `(select ${valueOf(end)} from "${table}" s
           where s."${id}" = case when ${text} ~ '${ID_TYPES[idType].pattern}' then ${text}::${idType} end
             and s."${principal}" = any(${principals})${unexpired})`;
}
