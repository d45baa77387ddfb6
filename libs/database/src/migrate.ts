import { createHash, randomUUID } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import type pg from 'pg';
import { connectClient } from './connect.js';

/** The lock that Prisma's engine takes, so that its command line and this never migrate at the same time. */
const LOCK = 72_707_369;
const CONNECT_TIMEOUT_MS = 10_000;
/** For each migration, and for waiting until whoever else migrates has finished. */
const LIMIT_MS = 10 * 60_000;

/** As Prisma's engine makes it. */
const BOOKKEEPING = `create table if not exists _prisma_migrations (
  id varchar(36) primary key not null,
  checksum varchar(64) not null,
  finished_at timestamptz,
  migration_name varchar(255) not null,
  logs text,
  rolled_back_at timestamptz,
  started_at timestamptz not null default now(),
  applied_steps_count integer not null default 0
)`;

/**
 * Brings the tables that Prisma knows up to date, as `prisma migrate deploy` does and in the same books, but without Prisma's
 * command line, which is no part of what is deployed. A migration is applied whole or not at all. Repeatable; part of
 * deploying, before any app starts.
 * @param folder of the migrations (`prisma/migrations`)
 * @returns the names of those that it applied
 * @throws Error in one sentence when the database refuses one, or Prisma had begun one that it did not finish
 */
export async function migrateDatabase(databaseUrl: string, folder: string): Promise<string[]> {
  const client = await connectClient({
    connectionString: databaseUrl,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    statement_timeout: LIMIT_MS,
    // Also against a server that is silent.
    query_timeout: LIMIT_MS + 5_000,
  });
  try {
    await client.query('select pg_advisory_lock($1)', [LOCK]);
    await client.query(BOOKKEEPING);
    const done = await migrationsAppliedTo(client);
    const wanted = (await migrationsIn(folder)).filter((name) => !done.has(name));
    for (const name of wanted) {
      await apply(client, name, await readFile(path.join(folder, name, 'migration.sql'), 'utf8'));
    }
    return wanted;
  } finally {
    await client.end();
  }
}

async function migrationsIn(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true });
  return entries
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => name)
    .sort();
}

async function migrationsAppliedTo(client: pg.Client): Promise<Set<string>> {
  const { rows } = await client.query<{ name: string; finished: boolean }>(
    `select migration_name as name, finished_at is not null as finished
       from _prisma_migrations where rolled_back_at is null`,
  );
  const begun = rows.find(({ finished }) => !finished);
  if (begun !== undefined) {
    throw new Error(
      `The migration ${begun.name} was begun and not finished: look at the database, then use prisma migrate resolve`,
    );
  }
  return new Set(rows.map(({ name }) => name));
}

async function apply(client: pg.Client, name: string, script: string): Promise<void> {
  const checksum = createHash('sha256').update(script).digest('hex');
  try {
    await client.query('begin');
    await client.query(script);
    await client.query(
      `insert into _prisma_migrations (id, checksum, migration_name, finished_at, applied_steps_count)
         values ($1, $2, $3, clock_timestamp(), 1)`,
      [randomUUID(), checksum, name],
    );
    await client.query('commit');
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new Error(`The database cannot be migrated: ${name}: ${why}`, { cause: error });
  }
}
