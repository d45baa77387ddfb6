import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { cp, mkdir, mkdtemp, readdir, readFile, realpath, rm, symlink, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import pg from 'pg';
import { migrateDatabase } from '#libs/database';
import { featuresWithTables, projectSchema } from '../../../scripts/prisma/project-schema.js';
import { createTestDatabase, type TestDatabase } from '../../../libs/testing/src/test-database.js';

const ROOT = path.resolve(import.meta.dirname, '../../..');
const COPIED = [
  'apps',
  'libs',
  'prisma',
  'scripts',
  'test/support',
  'package.json',
  'package-lock.json',
  '.swcrc',
];
const SETTINGS = ['nest-cli.json', 'tsconfig.json', 'prisma.config.ts'];
const SCHEMA = `
model SampleSet {
  id      BigInt      @id @default(autoincrement())
  coverId String?     @map("cover_id") @db.Uuid
  kind    SampleKind
  cover   MediaAsset? @relation(fields: [coverId], references: [assetId], onDelete: Cascade)
  items   SampleItem[]

  @@map("sample_sets")
}

model SampleItem {
  setId     BigInt     @map("set_id")
  assetId   String     @map("asset_id") @db.Uuid
  sourceId  String?    @map("source_id") @db.Uuid
  set       SampleSet  @relation(fields: [setId], references: [id], onDelete: Cascade)
  asset     MediaAsset @relation(fields: [assetId], references: [assetId], onDelete: Cascade)
  source    MediaAsset? @relation("Source", fields: [sourceId], references: [assetId], onDelete: Cascade)

  @@id([setId, assetId])
  @@map("sample_items")
}

enum SampleKind {
  FIRST
  SECOND

  @@map("sample_kind")
}
`;

/** Real: Prisma's command line, the build, PostgreSQL. The feature exists in a copy of the project. */
describe('a feature with tables', () => {
  let root: string;
  let folder: string;
  let database: TestDatabase;
  beforeAll(async () => {
    root = await realpath(await mkdtemp(path.join(os.tmpdir(), 'stowage-features-')));
    for (const name of [...COPIED, ...SETTINGS]) {
      await cp(path.join(ROOT, name), path.join(root, name), { recursive: true, preserveTimestamps: true });
    }
    // Only the feature of this suite.
    for (const name of featuresWithTables(root)) await rm(path.join(root, 'libs', name), { recursive: true });
    await writeFile(path.join(root, 'stowage.features.ts'), 'export default [];\n');
    await symlink(path.join(ROOT, 'node_modules'), path.join(root, 'node_modules'));
    folder = path.join(root, 'libs/samples/prisma');
    database = await createTestDatabase();
    await query('drop schema public cascade; create schema public');
  });
  afterAll(async () => {
    await database.drop();
    await rm(root, { recursive: true });
  });

  async function node(...args: string[]) {
    const child = spawn(process.execPath, args, {
      cwd: root,
      env: { ...process.env, NODE_OPTIONS: '', DATABASE_URL: database.url, CHECKPOINT_DISABLE: '1' },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const exit = new Promise((resolve) => child.once('close', resolve));
    const [output, errors, code] = await Promise.all([text(child.stdout), text(child.stderr), exit]);
    return { code, output: output + errors };
  }
  const prisma = (...args: string[]) => node('node_modules/prisma/build/index.js', 'migrate', ...args);
  const models = async () => readdir(path.join(root, 'libs/database/src/generated/models'));
  async function query(sql: string): Promise<pg.QueryResult> {
    const client = new pg.Client({ connectionString: database.url });
    await client.connect();
    try {
      return await client.query(sql);
    } finally {
      await client.end();
    }
  }

  it('is part of the database client while its folder exists, although it is not listed', async () => {
    await mkdir(folder, { recursive: true });
    await writeFile(path.join(folder, 'schema.prisma'), SCHEMA);
    expect(await node('scripts/build.mjs')).toMatchObject({
      code: 0,
      output: expect.stringContaining('Generating the database client'),
    });
    expect(await models()).toEqual(
      expect.arrayContaining(['MediaAsset.ts', 'SampleItem.ts', 'SampleSet.ts']),
    );
    expect(await node('scripts/build.mjs')).toEqual({ code: 0, output: '' });
  });

  it('gets a migration from the differences of its schema', async () => {
    const first = await node('scripts/migration.ts', 'samples', 'init');
    expect(first).toEqual({
      code: 0,
      output: expect.stringMatching(
        /^written {2}libs\/samples\/prisma\/migrations\/\d{14}_init\/migration.sql\n$/,
      ),
    });
    const sql = await readFile(path.join(root, first.output.trim().split('  ')[1]!), 'utf8');
    expect([...sql.matchAll(/^CREATE (?:TABLE|TYPE) "(\w+)"/gm)].map(([, name]) => name)).toEqual([
      'sample_kind',
      'sample_sets',
      'sample_items',
    ]);
    expect(
      [...sql.matchAll(/REFERENCES "media_assets".* ON DELETE (\w+)/g)].map(([, action]) => action),
    ).toEqual(['CASCADE', 'CASCADE', 'CASCADE']);
    expect(await node('scripts/migration.ts', 'samples', 'again')).toEqual({
      code: 0,
      output: 'The migrations agree with the schema.\n',
    });
  });

  it('is migrated like the core: the tables agree with the schema, and Prisma finds nothing to do', async () => {
    const [name = ''] = await readdir(path.join(folder, 'migrations'));
    const applied = await migrateDatabase(database.url, root, ['samples']);
    expect(applied.at(-1)).toBe(`samples_${name}`);
    const { schema } = projectSchema(root, ['samples'], path.join(root, '.local/prisma'));
    expect(
      await prisma('diff', '--from-config-datasource', '--to-schema', schema, '--exit-code'),
    ).toMatchObject({
      code: 0,
    });
    expect((await prisma('status')).output).toContain('Database schema is up to date');
    await query(`alter table sample_items add column undeclared int`);
    expect(
      await prisma('diff', '--from-config-datasource', '--to-schema', schema, '--exit-code'),
    ).toMatchObject({
      code: 2,
      output: expect.stringContaining('undeclared'),
    });
    await query(`alter table sample_items drop column undeclared`);
  });

  it('gets no migration while the schema of the core has changes without one', async () => {
    const core = path.join(root, 'prisma/schema.prisma');
    const schema = await readFile(core, 'utf8');
    await writeFile(core, schema.replace('@@map("content_costs")', 'note String?\n  @@map("content_costs")'));
    expect(await node('scripts/migration.ts', 'samples', 'more')).toEqual({
      code: 1,
      output: 'The schema of the core has changes without a migration; write that migration first.\n',
    });
    const { code, output } = await node('scripts/migration.ts', 'notes');
    expect([code, output]).toEqual([
      0,
      expect.stringMatching(/^written {2}prisma\/migrations\/\d{14}_notes\//),
    ]);
    const sql = await readFile(path.join(root, output.trim().split('  ')[1]!), 'utf8');
    expect(sql).toContain('ALTER TABLE "content_costs" ADD COLUMN');
    expect(sql).not.toContain('sample');
  });

  it.each([
    [['Samples-init'], 'The name of a migration must be in snake_case'],
    [['unknown', 'init'], 'There is no file libs/unknown/prisma/schema.prisma'],
    [['samples', 'init', 'more'], 'The name of a migration must be in snake_case'],
  ])('gets no migration from the arguments %j', async (args, message) => {
    const { code, output } = await node('scripts/migration.ts', ...args);
    expect([code, output]).toEqual([1, expect.stringContaining(message)]);
  });

  it('leaves the database client when its folder is removed', async () => {
    await rm(path.join(root, 'libs/samples'), { recursive: true });
    expect((await node('scripts/build.mjs')).code).toBe(0);
    expect(await models()).not.toContain('SampleItem.ts');
    expect(await models()).toContain('MediaAsset.ts');
    expect(existsSync(path.join(root, 'libs/database/src/generated/.schemas'))).toBe(true);
  });

  it('stops the build with one sentence when it breaks a rule', async () => {
    await mkdir(folder, { recursive: true });
    await writeFile(path.join(folder, 'schema.prisma'), SCHEMA.replace('"sample_sets"', '"sets"'));
    const { code, output } = await node('scripts/build.mjs');
    expect([code, output]).toEqual([
      1,
      expect.stringContaining('samples: model SampleSet must be mapped to a name that begins with sample'),
    ]);
  });
});
