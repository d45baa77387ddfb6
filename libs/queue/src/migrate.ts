import { runMigrations } from 'bullmq';
import { connectClient } from '#libs/database';
import { SCHEMA } from './queues.js';

/** For each statement, and for waiting until whoever else migrates has finished. */
const LIMIT_MS = 10 * 60_000;

/** Brings the queue's tables up to date; part of deploying, before any app starts. Repeatable. */
export async function migrateQueue(databaseUrl: string): Promise<void> {
  const client = await connectClient({
    connectionString: databaseUrl,
    connectionTimeoutMillis: 5_000,
    statement_timeout: LIMIT_MS,
    // Also against a server that is silent.
    query_timeout: LIMIT_MS + 5_000,
  });
  try {
    await runMigrations(client, SCHEMA);
  } finally {
    await client.end();
  }
}
