import { afterAll, beforeAll, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { DEAD_LETTER_BATCH } from '../../../libs/queue/src/dead-letter-retention.service.js';
import { World } from '../../../libs/testing/src/world.js';
import { emptyWorld } from '../../support/empty-world.js';

const DAY_MS = 86_400_000;

describe('prune-dead-letters (real: PostgreSQL)', () => {
  let world: World;
  beforeAll(async () => {
    world = await World.start();
  });
  afterAll(() => world?.[Symbol.asyncDispose]());
  beforeEach(() => emptyWorld(world));

  const add = (state: 'OPEN' | 'RETRIED' | 'DISCARDED', ageDays: number, count = 1) =>
    world.database.prisma.deadLetter.createMany({
      data: Array.from({ length: count }, () => ({
        ...{ source: 'test', assetId: null, error: `${state} ${ageDays}`, attempts: 1, payload: '{}', state },
        createdAt: new Date(Date.now() - ageDays * DAY_MS),
      })),
    });
  const left = async () => {
    const letters = await world.database.prisma.deadLetter.findMany({ orderBy: { id: 'asc' } });
    return letters.map(({ error }) => error);
  };
  const run = (isDryRun: boolean) => world.runTask('prune-dead-letters', { isDryRun });

  it('removes closed letters that are old, and as many as its dry run counts', async () => {
    for (const state of ['OPEN', 'RETRIED', 'DISCARDED'] as const) {
      await add(state, 91);
      await add(state, 89);
    }
    const before = await left();
    const { changed, actions } = await run(true);
    expect([changed, await left()]).toEqual([2, before]);
    expect(await run(false)).toMatchObject({ outcome: 'succeeded', failed: 0, changed, actions });
    expect(await left()).toEqual(['OPEN 91', 'OPEN 89', 'RETRIED 89', 'DISCARDED 89']);
  });

  it('removes more letters than one batch has', async () => {
    await add('RETRIED', 100, DEAD_LETTER_BATCH + 1);
    await add('DISCARDED', 100, 2 * DEAD_LETTER_BATCH + 1);
    expect(await run(true)).toMatchObject({ changed: 3 * DEAD_LETTER_BATCH + 2 });
    expect(await run(false)).toMatchObject({ changed: 3 * DEAD_LETTER_BATCH + 2 });
    expect(await left()).toEqual([]);
  });

  it.each([true, false])('sends one statement when nothing is due (dry run: %s)', async (isDryRun) => {
    for (let round = 0; round < 3; round++) {
      await add('RETRIED', 10, DEAD_LETTER_BATCH);
      const query = jest.spyOn(world.database, 'query');
      expect(await run(isDryRun)).toMatchObject({ changed: 0, actions: [] });
      expect(query).toHaveBeenCalledTimes(1);
      query.mockRestore();
    }
  });
});
