import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { Logger } from '@nestjs/common';
import { afterCommit, Database, DatabaseConfig, statement, type Tx } from '#libs/database';
import { configured } from '#libs/runtime';
import { createTestDatabase, type TestDatabase } from '../../../libs/testing/src/test-database.js';

const raise = (tx: Tx, state: string) =>
  tx.$executeRawUnsafe(`do $$ begin raise exception using errcode = '${state}'; end $$`);

/** Real: PostgreSQL. */
describe('transaction', () => {
  let testDatabase: TestDatabase;
  let database: Database;
  beforeAll(async () => {
    testDatabase = await createTestDatabase();
    database = new Database(configured(DatabaseConfig, { url: testDatabase.url, poolSize: 3 }));
  });
  afterAll(async () => {
    await database.onApplicationShutdown();
    await testDatabase.drop();
  });

  const count = () => database.prisma.owner.count();
  const addOwner = (tx: Tx, subject: string) => tx.owner.create({ data: { issuer: 'test', subject } });

  it.each(['ENOENT', 'ECONNREFUSED', '57P01', '40P01', 'P2034'])(
    'throws an error of its own work as it is, whatever its code: %s',
    async (code) => {
      const error = Object.assign(new Error('no file'), { code });
      const work = jest.fn(() => Promise.reject(error));
      await expect(database.transaction(work)).rejects.toBe(error);
      expect(work).toHaveBeenCalledTimes(1);
    },
  );

  it('reports an outage in mid-work as unavailable', async () => {
    const outage = database.transaction((tx) => raise(tx, '57P01'));
    await expect(outage).rejects.toMatchObject({ kind: 'unavailable', reason: 'DATABASE_UNAVAILABLE' });
  });

  it('runs the effects in order after the commit and before the transaction returns', async () => {
    const seen: unknown[] = [];
    await database.transaction(async (tx) => {
      await addOwner(tx, 'committed');
      afterCommit(tx, () => seen.push('first'));
      afterCommit(tx, () => seen.push('second'));
      afterCommit(tx, async () => seen.push(await count()));
      expect(seen).toEqual([]);
    });
    expect(seen.slice(0, 2)).toEqual(['first', 'second']);
    while (seen.length < 3) await count();
    expect(seen[2]).toBe(1);
  });

  it('runs no effect of a transaction that is rolled back', async () => {
    const effect = jest.fn();
    const failing = database.transaction(async (tx) => {
      await addOwner(tx, 'rolled back');
      afterCommit(tx, effect);
      throw new Error('no');
    });
    await expect(failing).rejects.toThrow('no');
    expect(effect).not.toHaveBeenCalled();
  });

  it('runs only the effects of the attempt that commits', async () => {
    const attempts: number[] = [];
    let attempt = 0;
    await database.transaction(async (tx) => {
      const current = ++attempt;
      afterCommit(tx, () => attempts.push(current));
      if (current < 3) await raise(tx, '40P01');
    });
    expect(attempts).toEqual([3]);
  });

  it('logs an effect that throws or rejects, and runs the others', async () => {
    const logged = jest.spyOn(Logger.prototype, 'error').mockImplementation(() => undefined);
    try {
      const effect = jest.fn();
      const result = await database.transaction((tx) => {
        afterCommit(tx, () => {
          throw new Error('thrown');
        });
        afterCommit(tx, () => Promise.reject(new Error('rejected')));
        afterCommit(tx, effect);
        return Promise.resolve('result');
      });
      expect([result, effect.mock.calls.length]).toEqual(['result', 1]);
      await count();
      expect(logged.mock.calls.map(([{ err }]) => (err as Error).message)).toEqual(['thrown', 'rejected']);
    } finally {
      logged.mockRestore();
    }
  });

  it('rejects a client that is no transaction, and a transaction that has ended', async () => {
    const problem = 'afterCommit needs the transaction of a running Database.transaction';
    expect(() => afterCommit(database.prisma, () => undefined)).toThrow(problem);
    let ended!: Tx;
    await database.transaction((tx) => {
      ended = tx;
      return Promise.resolve();
    });
    expect(() => afterCommit(ended, () => undefined)).toThrow(problem);
  });

  it('reads the same times as a statement does, in a database with another time zone', async () => {
    const name = new URL(testDatabase.url).pathname.slice(1);
    await database.prisma.$executeRawUnsafe(`alter database "${name}" set timezone = 'Asia/Kolkata'`);
    const zoned = new Database(configured(DatabaseConfig, { url: testDatabase.url, poolSize: 1 }));
    try {
      const time = statement<{ time: Date }>(
        'spec_time',
        `select '2026-01-01T12:00:00Z'::timestamptz as time`,
      );
      const expected = [{ time: new Date('2026-01-01T12:00:00Z') }];
      expect(await zoned.query(time, [])).toEqual(expected);
      expect(await zoned.transaction((tx) => zoned.query(time, [], tx))).toEqual(expected);
    } finally {
      await zoned.onApplicationShutdown();
    }
  });
});
