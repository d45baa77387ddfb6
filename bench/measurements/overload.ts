import { setTimeout as delay } from 'node:timers/promises';
import type { Figure } from '../figures.ts';
import { opaqueFile, untilReady, uploadAll } from '../files.ts';
import { Load } from '../load/load.ts';
import type { Measurement } from '../measurement.ts';
import { tokensOf } from '../users.ts';

const FILE_BYTES = 3000;
const IN_FLIGHT = 8;
const CAPACITY_SECONDS = 15;
const OVERLOAD_SECONDS = 60;
const FACTOR = 10;

/**
 * Assets that become READY per second, with eight uploads in flight and while one owner uploads ten times as many for a
 * minute, and the time to READY of the only file of another owner at the end of that minute.
 */
export const overload: Measurement = {
  name: 'overload',
  async run(stack, say): Promise<Figure[]> {
    const [busy = '', quiet = ''] = await tokensOf(stack, 2);
    const readySince = async (since: Date): Promise<number> => {
      const [row] = await stack.query<{ count: number }>(
        'select count(*)::int from media_assets where ready_at >= $1',
        [since],
      );
      return row!.count;
    };
    return stack.withWorker(async () => {
      const closedLoop = async (seconds: number) => {
        const end = Date.now() + seconds * 1000;
        const client = async () => {
          using load = new Load();
          while (Date.now() < end) {
            const files = [opaqueFile(FILE_BYTES)];
            await untilReady(stack, await uploadAll({ stack, load, token: busy, connections: 1 }, files));
          }
        };
        const since = new Date();
        await Promise.all(Array.from({ length: IN_FLIGHT }, client));
        return ((await readySince(since)) * 1000) / (Date.now() - since.getTime());
      };
      // A new worker has not compiled its code yet.
      say('warming up');
      await closedLoop(CAPACITY_SECONDS / 3);
      say('capacity');
      const capacity = await closedLoop(CAPACITY_SECONDS);

      using load = new Load();
      const since = new Date();
      const end = since.getTime() + OVERLOAD_SECONDS * 1000;
      let sent = 0;
      while (Date.now() < end) {
        say(`overload, ${Math.ceil((end - Date.now()) / 1000)} s left`);
        const next = Date.now() + 1000;
        const files = Array.from({ length: Math.ceil(capacity * FACTOR) }, () => opaqueFile(FILE_BYTES));
        sent += (await uploadAll({ stack, load, token: busy, connections: IN_FLIGHT }, files)).length;
        await delay(Math.max(0, next - Date.now()));
      }
      const seconds = (Date.now() - since.getTime()) / 1000;
      const during = (await readySince(since)) / seconds;
      const requestedAt = Date.now();
      await untilReady(
        stack,
        await uploadAll({ stack, load, token: quiet, connections: 1 }, [opaqueFile(FILE_BYTES)]),
      );
      const waited = (Date.now() - requestedAt) / 1000;
      return [
        {
          what: `READY while ${Math.round(sent / seconds)} files/s of 3 kB arrive for a minute`,
          unit: 'files/s',
          values: [during],
          against: { what: 'eight in flight', values: [capacity] },
          target: { atLeast: 0.8 },
        },
        {
          what: 'the only file of another owner behind that backlog, request to READY',
          unit: 's',
          values: [waited],
          target: { atMost: 5 },
        },
      ];
    });
  },
};
