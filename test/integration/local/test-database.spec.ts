import { afterAll, describe, expect, it } from '@jest/globals';
import pg from 'pg';
import { createTestDatabase, type TestDatabase } from '../../../libs/testing/src/test-database.js';

/** Real: PostgreSQL, the migrations of Prisma and of the queue. */
describe('createTestDatabase', () => {
  const made: TestDatabase[] = [];
  afterAll(() => Promise.all(made.map((database) => database.drop())));

  async function names(sql: string): Promise<string[]> {
    const database = await createTestDatabase();
    made.push(database);
    const client = new pg.Client({ connectionString: database.url });
    await client.connect();
    const { rows } = await client.query<{ name: string }>(sql);
    await client.end();
    return rows.map(({ name }) => name);
  }

  it('creates the tables of Prisma and of the queue', async () => {
    const tables = await names("select schemaname || '.' || tablename as name from pg_tables");
    expect(tables).toEqual(expect.arrayContaining(['public.media_assets', 'bullmq.job']));
  });

  it('creates another database for each caller', async () => {
    const [first, second] = await Promise.all([0, 1].map(() => names('select current_database() as name')));
    expect(first).not.toEqual(second);
  });

  it('sorts by code point and folds case beyond ASCII, on every platform', async () => {
    expect(await names("select lower('ÄÉ') as name union all select upper('ß') order by 1")).toEqual([
      'ß',
      'äé',
    ]);
  });
});
