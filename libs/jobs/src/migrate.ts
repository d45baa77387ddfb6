import { runMigrations } from 'bullmq';
import pg from 'pg';
import { SCHEMA } from './queues.js';

/** Brings the queue's tables up to date; part of deploying, before any app starts. Repeatable. */
export async function migrateQueue(databaseUrl: string): Promise<void> {
  const client = new pg.Client({ connectionString: databaseUrl, connectionTimeoutMillis: 5_000 });
  await client.connect();
  try {
    await runMigrations(client, SCHEMA);
  } finally {
    await client.end();
  }
}

/**
 * Workers on a database without these tables would spin on errors; an app asks first.
 * @throws Error in one sentence when the tables are missing
 */
export async function assertQueueMigrated(
  query: (sql: string) => Promise<{ rows: unknown[] }>,
): Promise<void> {
  const { rows } = await query(`select 1 where to_regclass('${SCHEMA}.job') is not null`);
  if (rows.length === 0)
    throw new Error(`The database has no queue tables (schema ${SCHEMA}): run the migrations.`);
}
