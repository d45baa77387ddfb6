import { randomBytes } from 'node:crypto';
import type { Figure } from '../figures.ts';
import { untilReady, uploadAll } from '../files.ts';
import { Load } from '../load/load.ts';
import { alternate, type Measurement } from '../measurement.ts';
import type { Stack } from '../stack.ts';
import { tokensOf } from '../users.ts';

const FILE_BYTES = 64 * 1024;
const FILES = 300;
const CONNECTIONS = 8;

const newFiles = () => Array.from({ length: FILES }, () => randomBytes(FILE_BYTES));

/** Events a second, from the first claim to the last, as the event log has them. */
async function claimRate(stack: Stack, ids: readonly string[]): Promise<number> {
  const [claims] = await stack.query<{ count: number; seconds: number }>(
    `select count(*)::int, extract(epoch from max(created_at) - min(created_at))::float8 as seconds
      from domain_events where type = 'asset.received' and asset_id = any($1)`,
    [ids],
  );
  return (claims!.count - 1) / claims!.seconds;
}

async function lastReadyAt(stack: Stack, ids: readonly string[]): Promise<Date> {
  const [row] = await stack.query<{ at: Date }>(
    'select max(ready_at) as at from media_assets where asset_id = any($1)',
    [ids],
  );
  return row!.at;
}

/** How fast one worker takes the events of small files, and how fast they are READY from the first request on. */
export const smallFiles: Measurement = {
  name: 'small-files',
  async run(stack, say): Promise<Figure[]> {
    using load = new Load();
    const [token = ''] = await tokensOf(stack, 1);
    const upload = () => uploadAll({ stack, load, token, connections: CONNECTIONS }, newFiles());
    const { events, ready } = await alternate(
      {
        // They wait for the worker, which works on what it has claimed at the same time.
        events: async () => {
          const ids = await upload();
          await stack.withWorker(() => untilReady(stack, ids));
          return claimRate(stack, ids);
        },
        ready: () =>
          stack.withWorker(async () => {
            // One that has just started has not run its code yet.
            await untilReady(stack, await upload());
            const started = Date.now();
            const ids = await upload();
            await untilReady(stack, ids);
            return (FILES * 1000) / ((await lastReadyAt(stack, ids)).getTime() - started);
          }),
      },
      say,
    );
    return [
      { what: 'events of uploads to PROCESSING, one worker', unit: 'events/s', values: events },
      { what: 'files of 64 KiB, request to READY, one worker', unit: 'files/s', values: ready },
    ];
  },
};
