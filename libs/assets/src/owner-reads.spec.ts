import { setImmediate as nextLoopIteration } from 'node:timers/promises';
import { describe, expect, it } from '@jest/globals';
import type { Actor } from '#libs/domain';
import { KeyedRateLimiter } from '#libs/runtime';
import type { Asset } from './asset.js';
import type { AssetsService } from './assets.service.js';
import { type OwnerRead, OwnerReads, type ReadCause } from './owner-reads.js';

const actor = (ownerId: bigint, groups: string[] = []): Actor => ({ ownerId, groups, isAdmin: false });

/** Records the statements that run, so that a test answers or fails each of them explicitly. */
class Statements {
  readonly all: { actor: Actor; ids: readonly string[]; answer: () => void; fail: (error: Error) => void }[] =
    [];

  findAll(actor: Actor, ids: readonly string[]): Promise<Asset[]> {
    return new Promise((resolve, reject) => {
      const answer = () => resolve(ids.filter((id) => id !== 'gone').map((id) => ({ id }) as Asset));
      this.all.push({ actor, ids, answer, fail: reject });
    });
  }

  /** Waits until the statement with this index has started. */
  async next(index: number) {
    while (this.all.length <= index) await new Promise((resolve) => setTimeout(resolve, 1));
    return this.all[index]!;
  }
}

describe('OwnerReads', () => {
  const start = () => {
    const statements = new Statements();
    return { statements, reads: new OwnerReads(statements as unknown as AssetsService) };
  };
  const idsOf = ({ assets }: OwnerRead) => assets.map(({ id }) => id);

  it('reads for many subscriptions of an owner with one statement at a time', async () => {
    const { statements, reads } = start();
    const first = reads.read(actor(1n), ['a']);
    const together = reads.read(actor(1n), ['a', 'b']);
    const running = await statements.next(0);
    const later = Array.from({ length: 100 }, (_, index) => reads.read(actor(1n), ['c', `${index}`, 'gone']));
    for (let loops = 0; loops < 10; loops++) await nextLoopIteration();
    expect(statements.all).toHaveLength(1);
    expect(running.ids).toEqual(['a', 'b']);
    running.answer();
    expect(idsOf(await first)).toEqual(['a']);
    expect(idsOf(await together)).toEqual(['a', 'b']);
    const next = await statements.next(1);
    expect(next.ids).toHaveLength(102);
    next.answer();
    for (const [index, found] of (await Promise.all(later)).entries())
      expect(idsOf(found)).toEqual(['c', `${index}`]);
    expect(statements.all).toHaveLength(2);
  });

  it('does not delay the reads of one owner by those of another', async () => {
    const { statements, reads } = start();
    void reads.read(actor(1n), ['a']);
    const other = reads.read(actor(2n), ['b']);
    await statements.next(0);
    (await statements.next(1)).answer();
    expect(idsOf(await other)).toEqual(['b']);
  });

  it('runs one statement per set of rights, one after another for each owner', async () => {
    const { statements, reads } = start();
    const [plain, grouped] = [reads.read(actor(1n), ['a']), reads.read(actor(1n, ['g']), ['a'])];
    (await statements.next(0)).answer();
    await plain;
    const second = await statements.next(1);
    expect(second.actor.groups).toEqual(['g']);
    second.answer();
    await grouped;
  });

  it('reads at most 500 ids in one statement', async () => {
    const { statements, reads } = start();
    const ids = (from: number) => Array.from({ length: 100 }, (_, index) => `${from + index}`);
    const all = Array.from({ length: 6 }, (_, index) => reads.read(actor(1n), ids(index * 100)));
    for (const [index, size] of [500, 100].entries()) {
      const statement = await statements.next(index);
      expect(statement.ids).toHaveLength(size);
      statement.answer();
    }
    for (const found of await Promise.all(all)) expect(found.assets).toHaveLength(100);
  });

  it('dates what it read to the start of the statement', async () => {
    const { statements, reads } = start();
    const found = reads.read(actor(1n), ['a']);
    const statement = await statements.next(0);
    const before = performance.now();
    while (performance.now() === before) await nextLoopIteration();
    statement.answer();
    expect((await found).readAt).toBeLessThanOrEqual(before);
  });

  it('rejects every read of a failed statement and serves the next read', async () => {
    const { statements, reads } = start();
    const failed = [reads.read(actor(1n), ['a']), reads.read(actor(1n), ['b'])];
    const outcomes = Promise.allSettled(failed);
    (await statements.next(0)).fail(new Error('down'));
    expect((await outcomes).map(({ status }) => status)).toEqual(['rejected', 'rejected']);
    const again = reads.read(actor(1n), ['a']);
    (await statements.next(1)).answer();
    expect(idsOf(await again)).toEqual(['a']);
  });

  it('alternates between assets that may have changed and access by shares', async () => {
    const { statements, reads } = start();
    const five = (cause: ReadCause) =>
      Array.from({ length: 5 }, (_, batch) =>
        reads.read(
          actor(1n),
          Array.from({ length: 500 }, (_, index) => `${cause} ${batch} ${index}`),
          cause,
        ),
      );
    const all = five('shares');
    const running = await statements.next(0);
    all.push(...five('change'));
    running.answer();
    for (let index = 1; index < 10; index++) (await statements.next(index)).answer();
    await Promise.all(all);
    const causes = statements.all.map(({ ids }) => ids[0]!.split(' ').slice(0, 2).join(' '));
    expect(causes).toEqual([
      'shares 0',
      ...[0, 1, 2, 3].flatMap((batch) => [`shares ${batch + 1}`, `change ${batch}`]),
      'change 4',
    ]);
  });

  it('runs waiting statements without a pause, and at most twenty per second', async () => {
    const clock = {
      time: 0,
      now: () => clock.time,
      sleep: async (ms: number) => {
        await nextLoopIteration();
        clock.time += ms;
      },
    };
    const startedAt: number[] = [];
    const findAll = () => {
      startedAt.push(clock.time);
      return Promise.resolve([]);
    };
    const reads = new OwnerReads({ findAll } as unknown as AssetsService, new KeyedRateLimiter(20, clock));
    const ids = (from: number) => Array.from({ length: 100 }, (_, index) => `${from} ${index}`);
    await Promise.all(Array.from({ length: 30 }, (_, from) => reads.read(actor(1n), ids(from))));
    expect(startedAt).toEqual([0, 0, 0, 0, 0, 0]);
    await Promise.all(Array.from({ length: 150 }, (_, from) => reads.read(actor(1n), ids(from))));
    expect(startedAt).toHaveLength(36);
    expect(startedAt.filter((at) => at === 0)).toHaveLength(20);
    expect(startedAt.at(-1)).toBeGreaterThanOrEqual(800);
  });
});
