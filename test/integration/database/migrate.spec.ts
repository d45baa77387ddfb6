import { spawnSync } from 'node:child_process';
import { cp, mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import pg from 'pg';
import { Database, DatabaseConfig, migrateDatabase, migrationNames } from '#libs/database';
import { configured } from '#libs/runtime';
import { featuresWithTables, projectSchema } from '../../../scripts/prisma/project-schema.js';
import { createTestDatabase, type TestDatabase } from '../../../libs/testing/src/test-database.js';
import { LIMIT_MS } from '../../../libs/testing/src/until.js';

const ROOT = path.resolve(import.meta.dirname, '../../..');
/** Prisma's commands see the migrations of all features in libs/. */
const FEATURES = featuresWithTables(ROOT);
const COLUMNS = `select column_name, data_type, character_maximum_length, is_nullable, column_default
  from information_schema.columns where table_name = '_prisma_migrations' order by column_name`;

/** Real: PostgreSQL, and Prisma's command line, which checks the migration table. */
describe('migrateDatabase', () => {
  let database: TestDatabase;
  let client: pg.Client;
  /** A root with copies of the core's migrations and an empty list of features. */
  let root: string;
  beforeEach(async () => {
    root = await mkdtemp(path.join(os.tmpdir(), 'migrations-'));
    await cp(path.join(ROOT, 'prisma/migrations'), path.join(root, 'prisma/migrations'), { recursive: true });
    await list();
    database = await createTestDatabase();
    client = new pg.Client({ connectionString: database.url });
    await client.connect();
    await client.query('drop schema public cascade; create schema public');
  });
  afterEach(async () => {
    await client.end();
    await database.drop();
    await rm(root, { recursive: true });
  });

  const add = async (name: string, script: string, feature?: string) => {
    const base = feature === undefined ? 'prisma' : `libs/${feature}/prisma`;
    const folder = path.join(root, base, 'migrations', name);
    await mkdir(folder, { recursive: true });
    await writeFile(path.join(folder, 'migration.sql'), script);
  };
  const list = (...features: string[]) =>
    writeFile(
      path.join(root, 'stowage.features.ts'),
      `${features.map((name) => `import { ${name} } from '#libs/${name}';\n`).join('')}
       export default [${features.join(', ')}];`,
    );
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
    const applied = await migrateDatabase(database.url, ROOT, FEATURES);
    expect(applied[0]).toMatch(/_init$/);
    expect(applied).toEqual([...applied].sort());
    expect(await migrateDatabase(database.url, ROOT, FEATURES)).toEqual([]);
    expect(prisma('deploy')).toContain('No pending migrations to apply');
    expect(prisma('status')).toContain('Database schema is up to date');
    expect(prisma('diff', '--from-config-datasource', '--to-schema', projectSchema(ROOT).schema)).toContain(
      'No difference detected',
    );
  });

  it('continues where Prisma stopped and writes identical migration rows', async () => {
    expect(prisma('deploy')).toContain('have been successfully applied');
    const made = (await client.query('select migration_name, checksum from _prisma_migrations order by 1'))
      .rows;
    const columns = (await client.query(COLUMNS)).rows;
    await add('99991231000000_next', 'create table next_one (); create table and_another ()');
    expect(await migrateDatabase(database.url, root)).toEqual(['99991231000000_next']);
    expect(await tables()).toEqual(expect.arrayContaining(['next_one', 'and_another']));

    await client.query('drop schema public cascade; create schema public');
    await migrateDatabase(database.url, ROOT, FEATURES);
    expect((await client.query(COLUMNS)).rows).toEqual(columns);
    const own = await client.query('select migration_name, checksum from _prisma_migrations order by 1');
    expect(own.rows).toEqual(made);
  });

  it('rolls back a failed migration and continues once it is fixed', async () => {
    await add('99991231000000_wrong', 'create table half (); create table half ()');
    await expect(migrateDatabase(database.url, root)).rejects.toThrow(
      'The database cannot be migrated: 99991231000000_wrong: relation "half" already exists',
    );
    expect(await tables()).toContain('media_assets');
    expect(await tables()).not.toContain('half');
    await writeFile(
      path.join(root, 'prisma/migrations/99991231000000_wrong/migration.sql'),
      'create table half ()',
    );
    expect(await migrateDatabase(database.url, root)).toEqual(['99991231000000_wrong']);
  });

  it('applies each migration once when several processes start together', async () => {
    const rounds = await Promise.all(
      Array.from({ length: 4 }, () => migrateDatabase(database.url, ROOT, FEATURES)),
    );
    expect(rounds.filter((applied) => applied.length > 0)).toHaveLength(1);
  });

  it('applies nothing after a migration that Prisma left unfinished', async () => {
    await migrateDatabase(database.url, ROOT, FEATURES);
    await client.query('update _prisma_migrations set finished_at = null where migration_name like $1', [
      '%_init',
    ]);
    await add('99991231000000_next', 'create table next_one ()');
    await expect(migrateDatabase(database.url, root)).rejects.toThrow(/_init was started but not finished/);
    expect(await tables()).not.toContain('next_one');
  });

  it('applies the migrations of listed features after those of the core, in listed order', async () => {
    await add('20200101000000_init', 'create table albums_one (id uuid references media_assets)', 'albums');
    await add('20200102000000_more', 'create table albums_two ()', 'albums');
    await add('20190101000000_init', 'create table places ()', 'places');
    await add('20190101000000_init', 'create table unlisted ()', 'unlisted');
    await mkdir(path.join(root, 'libs/tableless'));
    await list('tableless', 'places', 'albums');
    const applied = await migrateDatabase(database.url, root);
    expect(applied.filter((name) => !/^\d/.test(name))).toEqual([
      'places_20190101000000_init',
      'albums_20200101000000_init',
      'albums_20200102000000_more',
    ]);
    expect(applied.findIndex((name) => name.startsWith('places'))).toBe(applied.length - 3);
    expect(await tables()).not.toContain('unlisted');
    await list('albums', 'places', 'tableless');
    expect(await migrateDatabase(database.url, root)).toEqual([]);
  });

  it('keeps the tables of a feature that is removed, and continues when the feature is added again', async () => {
    await add('20200101000000_init', 'create table albums_one ()', 'albums');
    await list('albums');
    await migrateDatabase(database.url, root);
    await client.query('alter table albums_one add note text');
    await list();
    await add('99991231000000_next', 'create table next_one ()');
    expect(await migrateDatabase(database.url, root)).toEqual(['99991231000000_next']);
    expect(await tables()).toContain('albums_one');
    await rename(path.join(root, 'libs/albums'), path.join(root, 'albums'));
    expect(await migrateDatabase(database.url, root)).toEqual([]);
    await rename(path.join(root, 'albums'), path.join(root, 'libs/albums'));
    await add('20200102000000_more', 'alter table albums_one add title text', 'albums');
    await list('albums');
    expect(await migrateDatabase(database.url, root)).toEqual(['albums_20200102000000_more']);
    await client.query('select note, title from albums_one');
  });

  it('keeps the migrations before that of a feature that fails', async () => {
    await add('20200101000000_init', 'create table albums_one ()', 'albums');
    await add('20200101000000_init', 'create table places (); select broken', 'places');
    await list('albums', 'places');
    await expect(migrateDatabase(database.url, root)).rejects.toThrow(
      'The database cannot be migrated: places_20200101000000_init: column "broken" does not exist',
    );
    expect(await tables()).toEqual(expect.arrayContaining(['media_assets', 'albums_one']));
    expect(await tables()).not.toContain('places');
  });

  it('applies nothing if a listed feature has no folder', async () => {
    await list('albums');
    await expect(migrateDatabase(database.url, root)).rejects.toThrow(
      'The feature albums has no folder libs/albums.',
    );
    expect(await tables()).toEqual([]);
  });

  it('lets a process start only with all of its migrations', async () => {
    const start = async (migrations: string[]) => {
      const config = configured(DatabaseConfig, { url: database.url, poolSize: 1, migrations });
      const started = new Database(config);
      try {
        await started.onModuleInit();
      } finally {
        await started.onApplicationShutdown();
      }
    };
    const names = await migrationNames(root);
    const lacking = (name: string) => `The database lacks the migration ${name}.`;
    await expect(start(names)).rejects.toThrow(lacking(names[0]!));
    await migrateDatabase(database.url, root);
    await start(names);
    await add('20990101000000_one', 'create table notes (id int)', 'one');
    await list('one');
    await expect(start(await migrationNames(root))).rejects.toThrow(lacking('one_20990101000000_one'));
    await migrateDatabase(database.url, root);
    await start(await migrationNames(root));
    // An older release, which does not know the last migration.
    await start(names);
  });
});
