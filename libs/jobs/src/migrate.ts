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
