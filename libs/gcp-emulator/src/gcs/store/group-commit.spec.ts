import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { GroupCommit } from './group-commit.js';

let folder: string;
let db: DatabaseSync;
let reader: DatabaseSync;
let group: GroupCommit;

beforeEach(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), 'stowage-group-'));
  db = new DatabaseSync(path.join(folder, 'test.sqlite'));
  db.exec(`PRAGMA journal_mode = WAL; CREATE TABLE parents (id INTEGER PRIMARY KEY);
    CREATE TABLE rows (id INTEGER PRIMARY KEY, parent INTEGER REFERENCES parents DEFERRABLE INITIALLY DEFERRED)`);
  reader = new DatabaseSync(path.join(folder, 'test.sqlite'));
  group = new GroupCommit(db);
});
afterEach(async () => {
  reader.close();
  db.close();
  await rm(folder, { recursive: true });
});

const idsIn = (database: DatabaseSync) =>
  database
    .prepare('SELECT id FROM rows ORDER BY id')
    .all()
    .map(({ id }) => id);

const insert = (id: number, parent: number | null = null) =>
  db.prepare('INSERT INTO rows VALUES (?, ?)').run(id, parent);

describe('GroupCommit', () => {
  it('commits concurrent writes in one transaction, in order', async () => {
    const seen: unknown[] = [];
    const work = (id: number) => () => {
      seen.push([idsIn(db), idsIn(reader)]);
      insert(id);
      return id * 10;
    };
    expect(await Promise.all([1, 2, 3].map((id) => group.run(work(id))))).toEqual([10, 20, 30]);
    expect(seen).toEqual([
      [[], []],
      [[1], []],
      [[1, 2], []],
    ]);
    expect(idsIn(reader)).toEqual([1, 2, 3]);
    await group.run(work(4));
    expect(idsIn(reader)).toEqual([1, 2, 3, 4]);
  });

  it('undoes only the write that threw', async () => {
    const refusal = new Error('refused');
    const refused = group.run(() => {
      insert(2);
      throw refusal;
    });
    const results = await Promise.allSettled([
      group.run(() => insert(1)),
      refused,
      group.run(() => insert(3)),
    ]);
    expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
    await expect(refused).rejects.toBe(refusal);
    expect(idsIn(reader)).toEqual([1, 3]);
  });

  it('rejects every caller when the commit fails, and then accepts new writes', async () => {
    // The foreign key is deferred, so it fails at the commit.
    const results = await Promise.allSettled([group.run(() => insert(1)), group.run(() => insert(2, 99))]);
    expect(results.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
    expect(idsIn(reader)).toEqual([]);
    await group.run(() => insert(3));
    expect(idsIn(reader)).toEqual([3]);
  });
});
