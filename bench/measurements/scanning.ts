import { instream } from '../ceilings/instream.ts';
import { needsClamd, withClamd } from '../clamd.ts';
import type { Figure } from '../figures.ts';
import { untilReady } from '../files.ts';
import { FILE_MIB, LargeFile } from '../large-file.ts';
import { alternate, type Measurement } from '../measurement.ts';
import type { Stack } from '../stack.ts';
import { tokensOf } from '../users.ts';

const ROUNDS = 5;

/** Seconds from the claim to READY by the event log and the row, without the upload and the queue. */
async function secondsOf(stack: Stack, id: string): Promise<number> {
  const [row] = await stack.query<{ seconds: number }>(
    `select extract(epoch from a.ready_at - e.created_at)::float8 as seconds
      from media_assets a join domain_events e using (asset_id) where asset_id = $1 and e.type = 'asset.received'`,
    [id],
  );
  return row!.seconds;
}

/** Throughput of scanning a large file in the pipeline, compared with clamd that gets the file directly. */
export const scanning: Measurement = {
  name: 'scanning',
  obstacle: needsClamd,
  run: (stack, say) =>
    withClamd(stack, (port) =>
      stack.withWorker(() => measure(stack, port, say), { CLAMD_ADDRESS: `127.0.0.1:${port}` }),
    ),
};

async function measure(stack: Stack, port: number, say: (doing: string) => void): Promise<Figure[]> {
  const [token = ''] = await tokensOf(stack, 1);
  say('writing files');
  await using opaque = await LargeFile.create(stack, 'application/octet-stream');
  await using film = await LargeFile.create(stack, 'video/mp4');
  // clamd caches clean results, so each scan needs other bytes.
  const clamd = (file: LargeFile) => async () => {
    await file.change();
    const started = performance.now();
    await instream(port, file.chunks());
    return (FILE_MIB * 1000) / (performance.now() - started);
  };
  const worker = (file: LargeFile) => async () => {
    await file.change();
    const id = await file.upload(stack, token);
    await untilReady(stack, [id]);
    return FILE_MIB / (await secondsOf(stack, id));
  };
  say('warming up');
  for (const run of [clamd(opaque), worker(opaque), worker(film)]) await run();
  const contenders = {
    'clamd alone': clamd(opaque),
    worker: worker(opaque),
    'clamd alone, video': clamd(film),
    'worker, video': worker(film),
  };
  const rates = await alternate(contenders, say, ROUNDS);
  const figure = (what: string, values: readonly number[], ceiling: readonly number[]): Figure => ({
    what: `scanning in the pipeline, ${FILE_MIB} MiB${what}`,
    unit: 'MiB/s',
    values,
    against: { what: 'clamd alone over INSTREAM', values: ceiling },
    target: { atLeast: 0.9 },
  });
  return [
    figure('', rates.worker, rates['clamd alone']),
    figure(' of video, with spool', rates['worker, video'], rates['clamd alone, video']),
  ];
}
