import { runMigrations } from 'bullmq';
import pg from 'pg';
import { SCHEMA } from './queues.js';

/** For each statement, and for waiting until whoever else migrates has finished. */
const LIMIT_MS = 10 * 60_000;

/** Brings the queue's tables up to date; part of deploying, before any app starts. Repeatable. */
export async function migrateQueue(databaseUrl: string): Promise<void> {
  const client = new pg.Client({
    connectionString: databaseUrl,
    connectionTimeoutMillis: 5_000,
    statement_timeout: LIMIT_MS,
    // Also against a server that is silent.
    query_timeout: LIMIT_MS + 5_000,
  });
  // A connection that breaks between two statements fails the next; without a listener it would end the process.
  client.on('error', () => undefined);
  try {
    await client.connect();
    await runMigrations(client, SCHEMA);
  } finally {
    await client.end();
  }
}
