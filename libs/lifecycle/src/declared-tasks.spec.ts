import { describe, expect, it } from '@jest/globals';
import { Test } from '@nestjs/testing';
import {
  Contributions,
  ContributionsModule,
  StowageTask,
  type TaskSchedule,
  type TaskStep,
} from '#libs/runtime';
import { declaredTasks } from './declared-tasks.js';

/** The tasks of one provider for each pair of a name and a schedule. */
async function declare(...tasks: (readonly [name: string, schedule: TaskSchedule])[]) {
  const providers = tasks.map(([name, schedule]) => {
    class Albums {
      @StowageTask(name, schedule)
      async *run(): AsyncGenerator<TaskStep> {}
    }
    return { provide: Symbol(name), useClass: Albums };
  });
  const module = await Test.createTestingModule({ imports: [ContributionsModule], providers }).compile();
  return declaredTasks(module.get(Contributions));
}

const NIGHTLY = { cron: '0 3 * * *' };

describe('declared tasks', () => {
  it.each([
    [{ cron: '0 3 * * *' }, '2031-07-01T02:59:59.999Z', '2031-07-01T03:00:00.000Z'],
    [{ cron: '0 3 * * *' }, '2031-07-01T03:00:00.000Z', '2031-07-02T03:00:00.000Z'],
    [{ cron: '0 3 * * *', timeZone: 'Europe/Berlin' }, '2031-07-01T00:00:00Z', '2031-07-01T01:00:00.000Z'],
    [{ cron: '0 3 * * *', timeZone: 'Europe/Berlin' }, '2031-12-01T00:00:00Z', '2031-12-01T02:00:00.000Z'],
    [{ cron: '*/10 * * * * *' }, '2031-07-01T00:00:01.500Z', '2031-07-01T00:00:10.000Z'],
    [{ seconds: 10 }, '2031-07-01T00:00:01.500Z', '2031-07-01T00:00:10.000Z'],
    [{ seconds: 10 }, '2031-07-01T00:00:10.000Z', '2031-07-01T00:00:20.000Z'],
  ])('have the ticks of %j after %s at %s', async (schedule, after, tick) => {
    const task = (await declare(['albums.remove-empty', schedule])).get('albums.remove-empty')!;
    expect(task.nextTick(new Date(after)).toISOString()).toBe(tick);
  });

  it.each([
    ['*/5 * * * *', 'America/Santiago', '2026-04-05T02:00:00Z'],
    ['20 * * * *', 'America/Santiago', '2026-04-05T02:00:00Z'],
    ['*/5 * * * *', 'Australia/Lord_Howe', '2026-04-04T14:00:00Z'],
    ['30 2 * * *', 'Europe/Berlin', '2026-10-25T00:00:00Z'],
    ['30 2 * * *', 'Europe/Berlin', '2026-03-29T00:00:00Z'],
  ])('come later than each time while the clocks change: %s in %s', async (cron, timeZone, from) => {
    const task = (await declare(['albums', { cron, timeZone }])).get('albums')!;
    for (let minute = 0; minute < 150; minute++) {
      const after = new Date(Date.parse(from) + minute * 60_000 + 17);
      expect(task.nextTick(after).getTime()).toBeGreaterThan(after.getTime());
    }
  });

  it.each([
    ['', NIGHTLY, 'name'],
    ['Albums', NIGHTLY, 'name'],
    ['albums/empty', NIGHTLY, 'name'],
    ['a'.repeat(65), NIGHTLY, 'name'],
    ['albums', { cron: 'at night' }, 'schedule'],
    ['albums', { cron: '0 3 * *' }, 'schedule'],
    ['albums', { cron: '0 25 * * *' }, 'schedule'],
    ['albums', { cron: '0 0 30 2 *' }, 'schedule'],
    ['albums', { cron: '0 3 * * *', timeZone: 'Mars/Olympus' }, 'schedule'],
    ['albums', { seconds: 0 }, 'interval'],
    ['albums', { seconds: 1.5 }, 'interval'],
    ['albums', { seconds: NaN }, 'interval'],
    ['albums', { seconds: 86_401 }, 'interval'],
  ])('reject the task %j with %j', async (name, schedule, what) => {
    await expect(declare([name, schedule])).rejects.toThrow(new RegExp(`^The .*${what}.*\\.$`));
  });

  it('reject two tasks of one name', async () => {
    await expect(declare(['albums', NIGHTLY], ['albums', { seconds: 1 }])).rejects.toThrow(
      'Two tasks are named albums: Albums.run and Albums.run.',
    );
  });
});
