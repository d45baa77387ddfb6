import { runMigrations } from 'bullmq';
import { connectClient } from '#libs/database';
import { SCHEMA } from './queues.js';

/** Limit for each statement, including the wait for a concurrent migration. */
const LIMIT_MS = 10 * 60_000;

/** Migrates the queue's tables. Deployments call this before any app starts; it is safe to repeat. */
export async function migrateQueue(databaseUrl: string): Promise<void> {
  const client = await connectClient({
    connectionString: databaseUrl,
    connectionTimeoutMillis: 5_000,
    statement_timeout: LIMIT_MS,
    // Also limits the wait for a silent server.
    query_timeout: LIMIT_MS + 5_000,
  });
  try {
    await runMigrations(client, SCHEMA);
  } finally {
    await client.end();
  }
}
