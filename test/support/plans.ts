import pg from 'pg';
import { createTestDatabase, type TestDatabase } from '../../libs/testing/src/test-database.js';

/** Part of the output of `explain (analyze, buffers, format json)`. */
export interface Plan {
  readonly 'Node Type': string;
  readonly 'Index Name'?: string;
  readonly 'Index Cond'?: string;
  readonly 'Actual Rows': number;
  readonly 'Actual Loops': number;
  readonly 'Rows Removed by Filter'?: number;
  readonly 'Shared Hit Blocks': number;
  readonly 'Shared Read Blocks': number;
  readonly Plans?: readonly Plan[];
}

/** Table and index blocks that a plan node and its children read. */
export const blocksOf = (plan: Plan): number => plan['Shared Hit Blocks'] + plan['Shared Read Blocks'];

/** A connection to a database with enough rows to show which plans statements get. */
export class SeededDatabase implements AsyncDisposable {
  static async create(seed: string): Promise<SeededDatabase> {
    const database = await createTestDatabase();
    const client = new pg.Client({ connectionString: database.url });
    await client.connect();
    await client.query(`${seed}; analyze`);
    return new SeededDatabase(database, client);
  }

  private constructor(
    private readonly database: TestDatabase,
    readonly client: pg.Client,
  ) {}

  get url(): string {
    return this.database.url;
  }

  /** Executes the statement and returns its plan. */
  async explain(text: string, values?: unknown[]): Promise<Plan> {
    const { rows } = await this.client.query<{ 'QUERY PLAN': [{ Plan: Plan }] }>(
      `explain (analyze, buffers, format json) ${text}`,
      values,
    );
    return rows[0]!['QUERY PLAN'][0].Plan;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.client.end();
    await this.database.drop();
  }
}
