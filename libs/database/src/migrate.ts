import { createHash, randomUUID } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import type pg from 'pg';
import { connectClient } from './connect.js';

/** Advisory lock of Prisma's migration engine: prevents a concurrent migration by Prisma's command line. */
const LOCK = 72_707_369;
const CONNECT_TIMEOUT_MS = 10_000;
/** Time limit for each migration, and for waiting until a concurrent migration has finished. */
const TIMEOUT_MS = 10 * 60_000;

/** The table that Prisma's migration engine creates. */
const MIGRATIONS_TABLE = `create table if not exists _prisma_migrations (
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
 * Applies pending Prisma migrations and records them like `prisma migrate deploy`, but without Prisma's command line,
 * which is not deployed. Each migration is applied completely or not at all. Safe to repeat; run it during a deployment
 * before any app starts.
 * @param folder folder of the migrations (`prisma/migrations`)
 * @returns the names of the applied migrations
 * @throws Error with one sentence if the database rejects a migration, or if Prisma started one without finishing it
 */
export async function migrateDatabase(databaseUrl: string, folder: string): Promise<string[]> {
  const client = await connectClient({
    connectionString: databaseUrl,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    statement_timeout: TIMEOUT_MS,
    // Client-side limit, in case the connection is silently dead.
    query_timeout: TIMEOUT_MS + 5_000,
  });
  try {
    await client.query('select pg_advisory_lock($1)', [LOCK]);
    await client.query(MIGRATIONS_TABLE);
    const applied = await migrationsAppliedTo(client);
    const pending = (await migrationsIn(folder)).filter((name) => !applied.has(name));
    for (const name of pending) {
      await apply(client, name, await readFile(path.join(folder, name, 'migration.sql'), 'utf8'));
    }
    return pending;
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
  const unfinished = rows.find(({ finished }) => !finished);
  if (unfinished !== undefined) {
    throw new Error(
      `The migration ${unfinished.name} was started but not finished: check the database, then run prisma migrate resolve`,
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
