import { randomBytes } from 'node:crypto';
import pg from 'pg';

/** A PostgreSQL server with a database that has all tables. */
interface TemplateServer {
  readonly url: string;
  /** Name of the database. */
  readonly template: string;
}

export interface TestDatabase {
  readonly url: string;
  /** Ends all remaining connections and removes the database. */
  drop(): Promise<void>;
}

/** Creates a database with all tables and no rows, by default on the server that Jest's global set-up started. */
export async function createTestDatabase(on?: TemplateServer): Promise<TestDatabase> {
  const { TEST_POSTGRES_URL, TEST_POSTGRES_TEMPLATE } = process.env;
  const { url: server, template } = on ?? { url: TEST_POSTGRES_URL, template: TEST_POSTGRES_TEMPLATE };
  if (!server || !template)
    throw new Error('There is no test server: run the tests through Jest, whose global set-up starts it');
  const name = `test_${randomBytes(8).toString('hex')}`;
  await execute(server, `create database ${name} template ${template}`);
  const url = new URL(server);
  url.pathname = `/${name}`;
  return { url: url.href, drop: () => execute(server, `drop database if exists ${name} with (force)`) };
}

async function execute(url: string, sql: string): Promise<void> {
  const client = new pg.Client({
    connectionString: url,
    connectionTimeoutMillis: 10_000,
    query_timeout: 30_000,
  });
  try {
    await client.connect();
    await client.query(sql);
  } finally {
    await client.end();
  }
}
