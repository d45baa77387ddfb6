import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import pg from 'pg';
import { accessStatements, sourceSetOf, validSources } from '#libs/access';
import { statements } from '#libs/database';
import { createTestDatabase, type TestDatabase } from '../../../libs/testing/src/test-database.js';

const LIBS = path.resolve(import.meta.dirname, '../../../libs');

/** Principal sources with every type of id. */
const PRINCIPAL_SOURCES = validSources(
  (['bigint', 'uuid', 'text'] as const).map((idType) => ({
    source: idType,
    options: {
      prefix: idType,
      table: `shares_by_${idType}`,
      id: 'id',
      idType,
      principal: 'principal',
      expiresAt: 'until',
    },
  })),
);

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
    for (const file of filesWith(/\b(s|accessS)tatement</)) await import(path.join(LIBS, file));
    expect(statements()).not.toEqual([]);
    for (const { table, idType } of PRINCIPAL_SOURCES) {
      await client.query(`create table ${table} (id ${idType}, principal text, until timestamptz)`);
    }
    expect(accessStatements()).not.toEqual([]);
    const known = statements().length;
    for (const each of accessStatements()) each.for(sourceSetOf(PRINCIPAL_SOURCES));
    expect(statements()).toHaveLength(known + accessStatements().length);
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
