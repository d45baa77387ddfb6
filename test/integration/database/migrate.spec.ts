import { spawnSync } from 'node:child_process';
import { cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import pg from 'pg';
import { migrateDatabase } from '#libs/database';
import { createTestDatabase, type TestDatabase } from '../../../libs/testing/src/test-database.js';
import { LIMIT_MS } from '../../../libs/testing/src/until.js';

const ROOT = path.resolve(import.meta.dirname, '../../..');
const MIGRATIONS = path.join(ROOT, 'prisma/migrations');
const COLUMNS = `select column_name, data_type, character_maximum_length, is_nullable, column_default
  from information_schema.columns where table_name = '_prisma_migrations' order by column_name`;

/** Real: PostgreSQL, and Prisma's command line, which checks the migration table. */
describe('migrateDatabase', () => {
  let database: TestDatabase;
  let client: pg.Client;
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(path.join(os.tmpdir(), 'migrations-'));
    await cp(MIGRATIONS, folder, { recursive: true });
    database = await createTestDatabase();
    client = new pg.Client({ connectionString: database.url });
    await client.connect();
    await client.query('drop schema public cascade; create schema public');
  });
  afterEach(async () => {
    await client.end();
    await database.drop();
    await rm(folder, { recursive: true });
  });

  const add = async (name: string, script: string) => {
    await mkdir(path.join(folder, name));
    await writeFile(path.join(folder, name, 'migration.sql'), script);
  };
  const tables = async () =>
    (
      await client.query<{ name: string }>('select tablename as name from pg_tables where schemaname = $1', [
        'public',
      ])
    ).rows.map(({ name }) => name);
  function prisma(...args: string[]): string {
    const { stdout, stderr } = spawnSync(
      process.execPath,
      [path.join(ROOT, 'node_modules/prisma/build/index.js'), 'migrate', ...args],
      {
        cwd: ROOT,
        env: { ...process.env, NODE_OPTIONS: '', DATABASE_URL: database.url, CHECKPOINT_DISABLE: '1' },
        encoding: 'utf8',
        timeout: LIMIT_MS,
      },
    );
    return stdout + stderr;
  }

  it('applies every migration once, in order, and leaves nothing for Prisma to do', async () => {
    const applied = await migrateDatabase(database.url, MIGRATIONS);
    expect(applied[0]).toMatch(/_init$/);
    expect(applied).toEqual([...applied].sort());
    expect(await migrateDatabase(database.url, MIGRATIONS)).toEqual([]);
    expect(prisma('deploy')).toContain('No pending migrations to apply');
    expect(prisma('status')).toContain('Database schema is up to date');
    expect(prisma('diff', '--from-config-datasource', '--to-schema', 'prisma/schema.prisma')).toContain(
      'No difference detected',
    );
  });

  it('continues where Prisma stopped and writes identical migration rows', async () => {
    expect(prisma('deploy')).toContain('have been successfully applied');
    const made = (await client.query('select migration_name, checksum from _prisma_migrations order by 1'))
      .rows;
    const columns = (await client.query(COLUMNS)).rows;
    await add('99991231000000_next', 'create table next_one (); create table and_another ()');
    expect(await migrateDatabase(database.url, folder)).toEqual(['99991231000000_next']);
    expect(await tables()).toEqual(expect.arrayContaining(['next_one', 'and_another']));

    await client.query('drop schema public cascade; create schema public');
    await migrateDatabase(database.url, MIGRATIONS);
    expect((await client.query(COLUMNS)).rows).toEqual(columns);
    const own = await client.query('select migration_name, checksum from _prisma_migrations order by 1');
    expect(own.rows).toEqual(made);
  });

  it('rolls back a failed migration and continues once it is fixed', async () => {
    await add('99991231000000_wrong', 'create table half (); create table half ()');
    await expect(migrateDatabase(database.url, folder)).rejects.toThrow(
      'The database cannot be migrated: 99991231000000_wrong: relation "half" already exists',
    );
    expect(await tables()).toContain('media_assets');
    expect(await tables()).not.toContain('half');
    await writeFile(path.join(folder, '99991231000000_wrong/migration.sql'), 'create table half ()');
    expect(await migrateDatabase(database.url, folder)).toEqual(['99991231000000_wrong']);
  });

  it('applies each migration once when several processes start together', async () => {
    const rounds = await Promise.all(
      Array.from({ length: 4 }, () => migrateDatabase(database.url, MIGRATIONS)),
    );
    expect(rounds.filter((applied) => applied.length > 0)).toHaveLength(1);
  });

  it('applies nothing after a migration that Prisma left unfinished', async () => {
    await migrateDatabase(database.url, MIGRATIONS);
    await client.query('update _prisma_migrations set finished_at = null where migration_name like $1', [
      '%_init',
    ]);
    await add('99991231000000_next', 'create table next_one ()');
    await expect(migrateDatabase(database.url, folder)).rejects.toThrow(/_init was started but not finished/);
    expect(await tables()).not.toContain('next_one');
  });
});
