import { needsOpenssl, opensslSeconds } from '../ceilings/openssl.ts';
import type { Figure } from '../figures.ts';
import { untilReady } from '../files.ts';
import { FILE_MIB, LargeFile } from '../large-file.ts';
import { alternate, type Measurement } from '../measurement.ts';
import { cpuSecondsOf, cpuSecondsOfChildren, needsProc } from '../process-usage.ts';
import type { Stack } from '../stack.ts';
import { tokensOf } from '../users.ts';

/** The kernel counts hundredths of a second, of which openssl needs few for one file. */
const OPENSSL_TIMES = 2;
/** One file takes so little processor time that single rounds differ by half. */
const ROUNDS = 9;

/**
 * Processor time that a worker needs for a large file from the event to READY, compared with the openssl command over the
 * same bytes: for a file without reader, and for one that is spooled and inspected.
 */
export const pipeline: Measurement = {
  name: 'pipeline',
  obstacle: () => needsProc() ?? needsOpenssl(),
  run: (stack, say) => stack.withWorker((worker) => measure(stack, worker, say)),
};

async function measure(stack: Stack, worker: number, say: (doing: string) => void): Promise<Figure[]> {
  const [token = ''] = await tokensOf(stack, 1);
  say('writing files');
  await using opaque = await LargeFile.create(stack, 'application/octet-stream');
  await using film = await LargeFile.create(stack, 'video/mp4');
  const openssl = async () => {
    const files = [opaque, film].flatMap(({ path }) => Array<string>(OPENSSL_TIMES).fill(path));
    return (FILE_MIB * files.length) / (await opensslSeconds(files));
  };
  const processed = async (file: LargeFile) => {
    await file.change();
    const before = { own: cpuSecondsOf(worker), children: cpuSecondsOfChildren(worker) };
    await untilReady(stack, [await file.upload(stack, token)]);
    const own = cpuSecondsOf(worker) - before.own;
    const all = own + cpuSecondsOfChildren(worker) - before.children;
    return { own: FILE_MIB / own, all: FILE_MIB / all };
  };
  say('warming up');
  await openssl();
  await processed(opaque);
  await processed(film);
  const contenders = { openssl, 'no spool': () => processed(opaque), spool: () => processed(film) };
  const rates = await alternate(contenders, say, ROUNDS);
  const against = { what: 'openssl dgst -sha256', values: rates.openssl };
  const figure = (what: string, values: readonly number[], atLeast?: number): Figure => ({
    what,
    unit: 'MiB/CPU-s',
    values,
    against,
    ...(atLeast !== undefined && { target: { atLeast } }),
  });
  const ownOf = (of: readonly { own: number }[]) => of.map(({ own }) => own);
  const allOf = (of: readonly { all: number }[]) => of.map(({ all }) => all);
  const what = `processing of ${FILE_MIB} MiB`;
  return [
    figure(what, ownOf(rates['no spool']), 0.35),
    figure(`${what}, its children included`, allOf(rates['no spool'])),
    figure(`${what} of video, with spool`, ownOf(rates.spool), 0.18),
    figure(`${what} of video, its children included`, allOf(rates.spool)),
  ];
}
