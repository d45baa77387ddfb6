import { spawnSync } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import pg from 'pg';
import { listedFeatures, migrateDatabase } from '#libs/database';
import { featuresWithTables, projectSchema } from '../../scripts/prisma/project-schema.js';
import features from '../../stowage.features.js';
import { createTestDatabase, type TestDatabase } from '../../libs/testing/src/test-database.js';

const ROOT = path.resolve(import.meta.dirname, '../..');
let database: TestDatabase;
beforeAll(async () => {
  database = await createTestDatabase();
});
afterAll(() => database.drop());

/** Differences between a schema and the tables of the core and these features. */
async function differences(features: readonly string[]): Promise<string> {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'stowage-schema-'));
  const own = await createTestDatabase();
  try {
    await emptyDatabase(own.url);
    await migrateDatabase(own.url, ROOT, features);
    const { schema } = projectSchema(ROOT, features, folder);
    const diff = spawnSync(
      path.join(ROOT, 'node_modules/.bin/prisma'),
      ['migrate', 'diff', '--from-config-datasource', '--to-schema', schema],
      { cwd: ROOT, encoding: 'utf8', env: { ...process.env, NODE_OPTIONS: '', DATABASE_URL: own.url } },
    );
    return `${diff.stdout}${diff.stderr}`;
  } finally {
    await own.drop();
    await rm(folder, { recursive: true });
  }
}

async function emptyDatabase(url: string): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    await client.query('drop schema public cascade; create schema public');
  } finally {
    await client.end();
  }
}

it('finds no difference between the migrations and the schema of the core', async () => {
  expect(await differences([])).toContain('No difference detected');
});

// Each feature alone, so that a difference shows in the test of its feature.
for (const feature of featuresWithTables(ROOT)) {
  it(`finds no difference between the migrations and the schema of ${feature}`, async () => {
    expect(await differences([feature])).toContain('No difference detected');
  });
}

it('lists only features that have the name of their folder', () => {
  expect(features.map(({ name }) => name)).toEqual(listedFeatures(ROOT));
});

it('matches the list of migrations in docs/operating.md', async () => {
  const folders = await readdir(path.join(ROOT, 'prisma/migrations'), { withFileTypes: true });
  const names = folders.filter((entry) => entry.isDirectory()).map(({ name }) => `applied  ${name}\n`);
  const documented = await readFile(path.join(ROOT, 'docs/operating.md'), 'utf8');
  expect(documented).toContain(names.sort().join(''));
});

it('converts times without a known zone to local times', async () => {
  const client = new pg.Client({ connectionString: database.url });
  await client.connect();
  try {
    // Only the tables that this migration changes, in the state before it.
    await client.query(`create schema before; set search_path to before; set timezone to 'Asia/Kolkata';
      create table media_assets (asset_id int primary key, mime_type text);
      create table asset_properties (asset_id int primary key, owner_id bigint, taken_at timestamptz(3),
        taken_at_offset_minutes smallint);
      create index asset_properties_owner_id_taken_at_asset_id_idx on asset_properties (owner_id, taken_at, asset_id);
      insert into media_assets values (1, 'image/jpeg'), (2, 'image/jpeg'), (3, 'video/mp4'), (4, 'video/quicktime'),
        (5, 'image/png'), (6, 'audio/mp4');
      insert into asset_properties values (1, 1, '2024-05-06T01:38:09.250Z', 330), (2, 1, '2024-05-06T07:08:09Z', null),
        (3, 1, '2021-02-03T04:05:06Z', null), (4, 1, '2022-03-03T23:21:07Z', -90), (5, 1, null, null),
        (6, 1, '2021-02-03T04:05:06Z', null)`);
    const file = path.join(ROOT, 'prisma/migrations/20261129000100_local_times/migration.sql');
    await client.query(await readFile(file, 'utf8'));
    const { rows } = await client.query(
      'select taken_at, taken_at_local::text as local from asset_properties order by asset_id',
    );
    expect(rows).toEqual([
      { taken_at: new Date('2024-05-06T01:38:09.250Z'), local: '2024-05-06 07:08:09.25' },
      { taken_at: null, local: '2024-05-06 07:08:09' },
      { taken_at: new Date('2021-02-03T04:05:06Z'), local: '2021-02-03 04:05:06' },
      { taken_at: new Date('2022-03-03T23:21:07Z'), local: '2022-03-03 21:51:07' },
      { taken_at: null, local: null },
      { taken_at: new Date('2021-02-03T04:05:06Z'), local: '2021-02-03 04:05:06' },
    ]);
  } finally {
    await client.end();
  }
});
