/**
 * Plays many seeded schedules of faults (test/fault/schedules.spec.ts), so many at a time on a fleet of their own, says how far
 * it is, and in the end which failed: `npm run fault`. Goes on where it was with `--seed`. The whole of it ends with outages of a
 * whole minute (test/fault/outages.spec.ts), in which locks run out; `--outages` plays them after a part, `--no-outages` never.
 */
import { spawn } from 'node:child_process';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { run, UsageError } from './command.ts';

const ROOT = path.resolve(import.meta.dirname, '..');
const JEST = path.join(ROOT, 'node_modules/jest/bin/jest.js');
const NODE = path.join(ROOT, 'node_modules/.bin/node');
const AT_A_TIME = 20;
/** For a fleet, and for each schedule on it. */
const START_MS = 300_000;
const SCHEDULE_MS = 150_000;
const OUTAGE_SECONDS = 60;
const OUTAGES_MS = 30 * 60_000;

interface Outcome {
  readonly passed: number;
  readonly failed: readonly number[];
  readonly output: string;
}

function whole(text: string, name: string): number {
  if (!/^\d{1,9}$/.test(text)) throw new UsageError(`--${name} must be a whole number.`);
  return Number(text);
}

/** What a suite says, and whether all of it passed. */
async function jest(suite: string, timeout: number, env: NodeJS.ProcessEnv) {
  const child = spawn(NODE, [JEST, '--config', 'jest.config.mjs', '--verbose', suite], {
    cwd: ROOT,
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout,
    env: {
      ...process.env,
      NODE_OPTIONS: '--experimental-vm-modules --disable-warning=ExperimentalWarning',
      NO_COLOR: '1',
      FORCE_COLOR: '0',
      ...env,
    },
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => (output += text));
  }
  await new Promise<void>((resolve, reject) => child.once('error', reject).once('close', () => resolve()));
  return { output, isPassed: child.exitCode === 0 };
}

/** Jest's own words for each schedule: a mark and its seed. */
async function play(first: number, count: number): Promise<Outcome> {
  const { output } = await jest('test/fault/schedules.spec.ts', START_MS + count * SCHEDULE_MS, {
    FAULT_SEED: String(first),
    FAULT_SCHEDULES: String(count),
  });
  const passed = new Set([...output.matchAll(/✓ seed (\d+)/g)].map(([, seed]) => Number(seed)));
  const seeds = Array.from({ length: count }, (_, index) => first + index);
  return { passed: passed.size, failed: seeds.filter((seed) => !passed.has(seed)), output };
}

/** True when all goes on after them. */
async function playOutages(): Promise<boolean> {
  const { output, isPassed } = await jest('test/fault/outages.spec.ts', OUTAGES_MS, {
    OUTAGE_SECONDS: String(OUTAGE_SECONDS),
  });
  console.log(isPassed ? output.match(/^.*[✓○].*$/gm)?.join('\n') : output);
  const [played, skipped] = ['✓', '○'].map((mark) => output.split(mark).length - 1);
  const hasOutlived = isPassed && played! > 0;
  console.log(
    `outages of ${OUTAGE_SECONDS} s: ${hasOutlived ? `all goes on after each of ${played}` : 'failed'}, ${skipped} skipped`,
  );
  return hasOutlived;
}

const HELP = `
Usage: npm run fault -- [--schedules 500] [--seed 1] [--[no-]outages]

Plays seeded schedules of faults and checks that the invariants hold after each; without options 500 of them (about 40
minutes), and then outages of a whole minute.

  --schedules N         how many
  --seed N              the first; a run that was interrupted prints how to go on
  --outages             plays the outages after a part as well; --no-outages leaves them out
`;

await run(HELP, async () => {
  const { values } = parseArgs({
    options: { schedules: { type: 'string' }, seed: { type: 'string' }, outages: { type: 'boolean' } },
    allowNegative: true,
  });
  const isWhole = values.schedules === undefined && values.seed === undefined;
  const count = whole(values.schedules ?? '500', 'schedules');
  const first = whole(values.seed ?? '1', 'seed');
  const failed: number[] = [];
  const started = Date.now();
  for (let done = 0; done < count;) {
    const part = Math.min(AT_A_TIME, count - done);
    const outcome = await play(first + done, part);
    failed.push(...outcome.failed);
    done += part;
    if (outcome.failed.length > 0) console.log(outcome.output);
    const minutes = ((Date.now() - started) / 60_000).toFixed(1);
    console.log(
      `${done} of ${count} schedules, ${failed.length} failed, ${minutes} min; next: --seed ${first + done} --schedules ${count - done}`,
    );
  }
  const seeds = `seeds ${first} to ${first + count - 1}`;
  console.log(
    failed.length === 0
      ? `${seeds}: the invariants hold in all ${count} schedules`
      : `${seeds}: ${failed.length} failed; FAULT_SCHEDULES=1 with FAULT_SEED=${failed.join(', ')} plays them again`,
  );
  const outlived = (values.outages ?? isWhole) ? await playOutages() : true;
  if (failed.length > 0 || !outlived) process.exitCode = 1;
});
