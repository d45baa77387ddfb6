import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { createTestDatabase, type TestDatabase } from '../support/postgres.js';

const ROOT = path.resolve(import.meta.dirname, '../..');
let database: TestDatabase;
beforeAll(async () => {
  database = await createTestDatabase();
});
afterAll(() => database.drop());

it('finds no difference between the migrations and the schema', () => {
  const diff = spawnSync(
    path.join(ROOT, 'node_modules/.bin/prisma'),
    ['migrate', 'diff', '--from-config-datasource', '--to-schema', 'prisma/schema.prisma', '--exit-code'],
    { cwd: ROOT, encoding: 'utf8', env: { ...process.env, NODE_OPTIONS: '', DATABASE_URL: database.url } },
  );
  expect(`${diff.stdout}${diff.stderr}`).toContain('No difference detected');
  expect(diff.status).toBe(0);
});
