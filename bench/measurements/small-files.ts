import { needsClamd, withClamd } from '../clamd.ts';
import type { Figure } from '../figures.ts';
import { type NewFile, opaqueFile, untilReady, uploadAll } from '../files.ts';
import { Load } from '../load/load.ts';
import { alternate, type Measurement } from '../measurement.ts';
import type { Stack } from '../stack.ts';
import { tokensOf } from '../users.ts';

const FILE_BYTES = 64 * 1024;
const FILES = 300;
const CONNECTIONS = 8;

const newFiles = () => Array.from({ length: FILES }, () => opaqueFile(FILE_BYTES));

/** Events per second from the first claim to the last, by the event log. */
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

/**
 * Rate at which one worker claims the events of small files, and rate from the first request to READY: for new files and
 * for files that another owner has stored, without a scanner and, if installed, with clamd.
 */
export const smallFiles: Measurement = {
  name: 'small-files',
  async run(stack, say): Promise<Figure[]> {
    using load = new Load();
    const [one = '', other = ''] = await tokensOf(stack, 2);
    const upload = (token: string, files: readonly NewFile[]) =>
      uploadAll({ stack, load, token, connections: CONNECTIONS }, files);
    const ready = async (token: string, files: readonly NewFile[]) => {
      const started = Date.now();
      const ids = await upload(token, files);
      await untilReady(stack, ids);
      return (FILES * 1000) / ((await lastReadyAt(stack, ids)).getTime() - started);
    };
    const readyRates = async (scanner: string, env: NodeJS.ProcessEnv): Promise<Figure[]> => {
      let files: NewFile[] = [];
      const contenders = {
        new: () => ready(one, (files = newFiles())),
        known: () => ready(other, files),
      };
      const rates = await stack.withWorker(async () => {
        // A new worker has not compiled its code yet.
        await untilReady(stack, await upload(one, newFiles()));
        return alternate(contenders, (doing) => say(doing + scanner));
      }, env);
      return Object.entries(rates).map(([which, values]) => ({
        what: `${which} files of 64 KiB${scanner}, request to READY`,
        unit: 'files/s',
        values,
      }));
    };

    // The events wait for the worker, which processes the assets that it has claimed at the same time.
    const { events } = await alternate(
      {
        events: async () => {
          const ids = await upload(one, newFiles());
          await stack.withWorker(() => untilReady(stack, ids));
          return claimRate(stack, ids);
        },
      },
      say,
    );
    const figures: Figure[] = [
      { what: 'events of uploads to PROCESSING, one worker', unit: 'events/s', values: events },
      ...(await readyRates('', {})),
    ];
    const obstacle = needsClamd();
    if (obstacle === null) {
      const scanned = (port: number) =>
        readyRates(', scanned by clamd', { CLAMD_ADDRESS: `127.0.0.1:${port}` });
      figures.push(...(await withClamd(stack, scanned)));
    } else {
      say(`with a scanner: NOT MEASURED, ${obstacle}`);
    }
    return figures;
  },
};
