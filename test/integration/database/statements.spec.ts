import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import pg from 'pg';
import { statements } from '#libs/database';
import { createTestDatabase, type TestDatabase } from '../../../libs/testing/src/test-database.js';

const LIBS = path.resolve(import.meta.dirname, '../../../libs');

const sources = readdirSync(LIBS, { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.ts') && !file.endsWith('.spec.ts'))
  .filter((file) => !/^gcp-emulator|^database.src.(generated|database\.ts|statement\.ts)/.test(file))
  .map((file) => ({ file, text: readFileSync(path.join(LIBS, file), 'utf8') }));
const filesWith = (pattern: RegExp) =>
  sources.filter(({ text }) => pattern.test(text)).map(({ file }) => file);

/** Real: PostgreSQL. */
describe('prepared statements', () => {
  let database: TestDatabase;
  let client: pg.Client;
  beforeAll(async () => {
    database = await createTestDatabase();
    client = new pg.Client({ connectionString: database.url });
    await client.connect();
  });
  afterAll(async () => {
    await client.end();
    await database.drop();
  });

  it('are registered and agree with the schema', async () => {
    for (const file of filesWith(/\bstatement</)) await import(path.join(LIBS, file));
    expect(statements()).not.toEqual([]);
    const errors: string[] = [];
    for (const { name, text } of statements()) {
      await client
        .query(`prepare ${name} as ${text}`)
        .catch((error: Error) => errors.push(`${name}: ${error.message}`));
    }
    expect(errors).toEqual([]);
    expect(filesWith(/: Statement</)).toEqual([]);
  });
});
