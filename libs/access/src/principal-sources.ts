import { Injectable, type OnModuleInit } from '@nestjs/common';
import { Database, statement } from '#libs/database';
import { Contributions } from '#libs/runtime';
import { type SourceSet, sourceSetOf } from './access-statement.js';
import {
  columnsOf,
  isPrincipalOf,
  PrincipalSource,
  type ValidSource,
  validSources,
} from './principal-source.js';

/** The columns of a table, and whether two of them are the key of a unique index over all rows. */
const DESCRIBE = statement<{ columns: Record<string, string> | null; isUnique: boolean }>(
  'access_describe_source',
  `select
      (select json_object_agg(a.attname, format_type(a.atttypid, null)) from pg_attribute a
        where a.attrelid = to_regclass($1) and a.attnum > 0 and not a.attisdropped) as columns,
      exists (select from pg_index i
        where i.indrelid = to_regclass($1) and i.indisunique and i.indisvalid and i.indpred is null
          and (select array_agg(a.attname::text order by a.attname::text) from pg_attribute a
            where a.attrelid = i.indrelid and a.attnum = any((i.indkey::int2[])[0:i.indnkeyatts - 1]))
            = (select array_agg(name order by name) from unnest($2::text[]) name)
          and i.indnkeyatts = 2) as "isUnique"`,
);

/** The principal sources of all modules of the process. */
@Injectable()
export class PrincipalSources implements SourceSet, OnModuleInit {
  private found?: SourceSet;

  constructor(
    private readonly contributions: Contributions,
    private readonly database: Database,
  ) {}

  get sources(): readonly ValidSource[] {
    return this.set.sources;
  }

  get suffix(): string {
    return this.set.suffix;
  }

  /** @throws Error if a source is invalid, or the database lacks its table, a column or the index */
  async onModuleInit(): Promise<void> {
    this.found = undefined;
    for (const source of this.sources) await this.verify(source);
  }

  /** Whether the text is a valid principal of one of the sources. */
  includes(principal: string): boolean {
    return this.sources.some((source) => isPrincipalOf(source, principal));
  }

  /** Read on first use and again by `onModuleInit`, because a provider that asks in its constructor may precede sources. */
  private get set(): SourceSet {
    return (this.found ??= sourceSetOf(validSources(this.contributions.classes(PrincipalSource))));
  }

  private async verify(source: ValidSource): Promise<void> {
    const { prefix, table, id, principal } = source;
    const [row] = await this.database.query(DESCRIBE, [table, [id, principal]]);
    const fail = (need: string) =>
      new Error(`The principal source ${prefix} needs ${need} in the table ${table}.`);
    for (const [column, types] of columnsOf(source)) {
      if (!types.includes(row?.columns?.[column] ?? '')) throw fail(`a column ${column} of type ${types[0]}`);
    }
    if (row?.isUnique !== true) throw fail(`a unique index on ${id} and ${principal}`);
  }
}
