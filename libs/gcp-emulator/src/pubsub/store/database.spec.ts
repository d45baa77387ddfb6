import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { notFound } from '../errors.js';
import { Database } from './database.js';

/** Real: the database file. */
describe('Database', () => {
  let dataDir: string;
  let database: Database;

  beforeEach(() => {
    dataDir = mkdtempSync(path.join(tmpdir(), 'pubsub-database-'));
    database = Database.open(dataDir);
  });
  afterEach(() => {
    database.close();
    rmSync(dataDir, { recursive: true });
  });

  const insert = (name: string) => () => {
    database.prepare('INSERT INTO topics (name, settings) VALUES (?, ?)').run(name, '{}');
    return name;
  };
  const names = () =>
    database
      .prepare('SELECT name FROM topics ORDER BY name')
      .all()
      .map(({ name }) => name);

  it('runs work submitted in one turn, and work submitted by that work, in one transaction', async () => {
    let inner: Promise<string> | undefined;
    const outer = database.submit(() => {
      inner = database.submit(insert('inner'));
      return insert('outer')();
    });
    const seen = await database.submit(names);
    expect(seen).toEqual(['outer']);
    expect(names()).toEqual(['inner', 'outer']);
    expect(await outer).toBe('outer');
    expect(await inner).toBe('inner');
  });

  it('rejects one caller and keeps the writes of the others', async () => {
    const outcomes = await Promise.allSettled([
      database.submit(insert('a')),
      database.submit(() => {
        throw notFound('x');
      }),
      database.submit(insert('b')),
    ]);
    expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
    expect(names()).toEqual(['a', 'b']);
  });

  it('undoes the whole group and rejects every caller when a write fails', async () => {
    const outcomes = await Promise.allSettled([database.submit(insert('a')), database.submit(insert('a'))]);
    expect(outcomes.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
    expect(names()).toEqual([]);
    await database.submit(insert('a'));
    expect(names()).toEqual(['a']);
  });

  it('commits work submitted before it closes and rejects work submitted later', async () => {
    const submitted = database.submit(insert('a'));
    database.close();
    expect(await submitted).toBe('a');
    await expect(database.submit(insert('b'))).rejects.toThrow('shutting down');
    database = Database.open(dataDir);
    expect(names()).toEqual(['a']);
  });
});
