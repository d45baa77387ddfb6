import { expect, it } from '@jest/globals';
import { readConfiguration } from '#libs/runtime';
import { DatabaseConfig } from './database.config.js';

const read = (env: NodeJS.ProcessEnv) =>
  readConfiguration({ database: DatabaseConfig }, { DATABASE_URL: 'postgresql://127.0.0.1/stowage', ...env })
    .database;

it('applies defaults to missing and empty variables', () => {
  expect(read({ DATABASE_POOL: '' })).toMatchObject({ poolSize: 10, clockLimitSeconds: 30 });
  expect(read({ DATABASE_POOL: ' 7 ' }).poolSize).toBe(7);
});

it.each([
  ['DATABASE_URL', 'mysql://secret'],
  ['DATABASE_POOL', '0'],
  ['DATABASE_POOL', '1e3'],
])('rejects %s=%s', (name, value) => {
  expect(() => read({ [name]: value })).toThrow(new RegExp(`^Configuration: ${name} must [^;]*\\.$`));
});
