import { createHash } from 'node:crypto';
import { statement } from '#libs/database';
import { entriesSql, grantedSql } from './grants.sql.js';
import type { ValidSource } from './principal-source.js';

/** Principal sources of a process, and a suffix for the names of statements that use them; empty without sources. */
export interface SourceSet {
  readonly sources: readonly ValidSource[];
  readonly suffix: string;
}

/** The set without sources. */
export const NO_SOURCES: SourceSet = { sources: [], suffix: '' };

/** Equal sources have equal names of statements in all processes. */
export function sourceSetOf(sources: readonly ValidSource[]): SourceSet {
  if (sources.length === 0) return NO_SOURCES;
  const digest = createHash('sha256').update(JSON.stringify(sources)).digest('hex');
  return { sources, suffix: `_${digest.slice(0, 8)}` };
}

type Expression = (principals: string) => string;
type TextOf = (granted: Expression, entries: Expression) => string;

/** A prepared statement that reads granted permissions; its text depends on the principal sources. */
export class AccessStatement<Row> {
  private readonly defined = new Map([['', this.define(NO_SOURCES)]]);

  constructor(
    private readonly name: string,
    private readonly textOf: TextOf,
  ) {}

  /** The statement for these sources, defined once in a process. */
  for(set: SourceSet) {
    let found = this.defined.get(set.suffix);
    if (found === undefined) this.defined.set(set.suffix, (found = this.define(set)));
    return found;
  }

  private define({ sources, suffix }: SourceSet) {
    return statement<Row>(
      `${this.name}${suffix}`,
      this.textOf(
        (principals) => grantedSql(principals, sources),
        (principals) => entriesSql(principals, sources),
      ),
    );
  }
}

const DEFINED: AccessStatement<unknown>[] = [];

/**
 * Defines a statement like `statement()`, with the permissions that are granted to the caller.
 * @param textOf returns the SQL; its arguments return the expressions {@link grantedSql} for {@link AccessTarget.granted}, and
 * {@link entriesSql}
 * @throws Error if another statement has the same name
 * @example
 * const FIND = accessStatement<AssetRow>(
 *   'assets_find',
 *   (granted) => `select ${ASSET_COLUMNS}, ${granted('$2')} as granted from media_assets a where a.asset_id = $1`,
 * );
 * await database.query(FIND.for(principalSources), [id, principalsOf(actor)]);
 */
export function accessStatement<Row>(name: string, textOf: TextOf): AccessStatement<Row> {
  const defined = new AccessStatement<Row>(name, textOf);
  DEFINED.push(defined);
  return defined;
}

/** All statements of the libs that this process has loaded and that read granted permissions. */
export const accessStatements = (): readonly AccessStatement<unknown>[] => [...DEFINED];
