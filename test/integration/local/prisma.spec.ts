import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import pg from 'pg';
import { projectSchema } from '../../../scripts/prisma/project-schema.js';
import { createTestDatabase, type TestDatabase } from '../../../libs/testing/src/test-database.js';

const ROOT = path.resolve(import.meta.dirname, '../../..');
const CLI = path.join(ROOT, 'node_modules/prisma/build/index.js');

/** Real: Prisma's command line, its engine (or the replacement of the binary), PostgreSQL. */
describe('Prisma', () => {
  let database: TestDatabase;
  beforeAll(async () => {
    database = await createTestDatabase();
  });
  afterAll(() => database.drop());

  function prisma(args: string[], { url = database.url, input = '' } = {}) {
    const { status, stdout, stderr } = spawnSync(process.execPath, [CLI, ...args], {
      cwd: ROOT,
      env: { ...process.env, NODE_OPTIONS: '', DATABASE_URL: url, CHECKPOINT_DISABLE: '1' },
      input,
      encoding: 'utf8',
      timeout: 25_000,
    });
    return { status, output: stdout + stderr };
  }

  it('finds every migration applied', () => {
    expect(prisma(['migrate', 'status'])).toMatchObject({
      status: 0,
      output: expect.stringContaining('up to date'),
    });
  });

  it('finds no difference between the migrations and the schema', () => {
    const { migrations, schema } = projectSchema(ROOT);
    const args = ['--from-migrations', migrations, '--to-schema', schema, '--exit-code'];
    expect(prisma(['migrate', 'diff', ...args])).toMatchObject({ status: 0 });
  });

  it('creates the database that it migrates and migrates it once', () => {
    const fresh = new URL(database.url);
    fresh.pathname += '_fresh';
    expect(prisma(['migrate', 'deploy'], { url: fresh.href }).output).toContain(
      'have been successfully applied',
    );
    expect(prisma(['migrate', 'deploy'], { url: fresh.href }).output).toContain(
      'No pending migrations to apply',
    );
  });

  it('sends a script as a whole, whatever semicolons it contains', async () => {
    const input = `create function two() returns int language plpgsql as $$ begin perform 1; return 2; end $$;
      comment on function two() is 'a;b';`;
    expect(prisma(['db', 'execute', '--stdin'], { input })).toMatchObject({ status: 0 });
    const client = new pg.Client({ connectionString: database.url });
    await client.connect();
    expect((await client.query('select two()')).rows).toEqual([{ two: 2 }]);
    await client.end();
  });

  it('reports a failed login', () => {
    const url = new URL(database.url);
    url.password = 'wrong';
    expect(prisma(['migrate', 'deploy'], { url: url.href })).toMatchObject({
      status: 1,
      output: expect.stringContaining('P1000'),
    });
  });
});
