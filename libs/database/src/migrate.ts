import { createHash, randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import type pg from 'pg';
import { connectClient } from './connect.js';
import { listedFeatures } from './listed-features.js';

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

/** The name under which a migration is recorded, and the file of its statements. */
interface Migration {
  readonly name: string;
  readonly file: string;
}

/**
 * Applies pending Prisma migrations and records them like `prisma migrate deploy`, but without Prisma's command line,
 * which is not deployed. The core's migrations come first, then those of each feature in listed order; a feature's
 * migration is recorded as `albums_20261130000000_init`, whatever the order of the list. Migrations of a feature that is
 * no longer listed stay recorded, and its tables stay. Each migration is applied completely or not at all. Safe to repeat;
 * run it during a deployment before any app starts.
 * @param root folder of the program, with `prisma/migrations`, `libs/NAME/prisma/migrations` and `stowage.features.ts`
 * @param features names of the features; default: those that `stowage.features.ts` lists
 * @returns the recorded names of the applied migrations
 * @throws Error with one sentence if the database rejects a migration, if Prisma started one without finishing it, or if a
 * feature has no folder
 */
export async function migrateDatabase(
  databaseUrl: string,
  root: string,
  features: readonly string[] = listedFeatures(root),
): Promise<string[]> {
  const migrations = await migrationsOf(root, features);
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
    const pending = migrations.filter(({ name }) => !applied.has(name));
    for (const { name, file } of pending) await apply(client, name, await readFile(file, 'utf8'));
    return pending.map(({ name }) => name);
  } finally {
    await client.end();
  }
}

/**
 * The recorded names of the migrations of a release: those that {@link migrateDatabase} applies.
 * @param root folder of the program
 * @throws Error with one sentence if a feature has no folder
 */
export async function migrationNames(
  root: string,
  features: readonly string[] = listedFeatures(root),
): Promise<string[]> {
  return (await migrationsOf(root, features)).map(({ name }) => name);
}

async function migrationsOf(root: string, features: readonly string[]): Promise<Migration[]> {
  const missing = features.find((name) => !existsSync(path.join(root, 'libs', name)));
  if (missing !== undefined) throw new Error(`The feature ${missing} has no folder libs/${missing}.`);
  const core = await migrationsIn(path.join(root, 'prisma/migrations'), '');
  const own = features
    .map((name) => ({ folder: path.join(root, 'libs', name, 'prisma/migrations'), prefix: `${name}_` }))
    .filter(({ folder }) => existsSync(folder));
  return [core, ...(await Promise.all(own.map(({ folder, prefix }) => migrationsIn(folder, prefix))))].flat();
}

async function migrationsIn(folder: string, prefix: string): Promise<Migration[]> {
  const entries = await readdir(folder, { withFileTypes: true });
  return entries
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => name)
    .sort()
    .map((name) => ({ name: prefix + name, file: path.join(folder, name, 'migration.sql') }));
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
