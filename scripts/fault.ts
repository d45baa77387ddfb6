/**
 * Runs seeded fault schedules (test/fault/schedules.spec.ts) in groups, each group on its own fleet of processes, and prints the
 * progress and the failed seeds: `npm run fault`. `--seed` continues an interrupted run. A full run ends with outages of one minute
 * each (test/fault/outages.spec.ts), during which locks expire; `--outages` adds them to a partial run, `--no-outages` skips them.
 */
import { spawn } from 'node:child_process';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { run, UsageError } from './command.ts';

const ROOT = path.resolve(import.meta.dirname, '..');
const JEST = path.join(ROOT, 'node_modules/jest/bin/jest.js');
const NODE = path.join(ROOT, 'node_modules/.bin/node');
const AT_A_TIME = 20;
/** Time limits for starting a fleet and for each schedule on it. */
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

/** Runs a suite. Returns its output and whether all tests passed. */
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

/** Runs schedules. Jest prints a check mark and the seed for each schedule that passed. */
async function play(first: number, count: number): Promise<Outcome> {
  const { output } = await jest('test/fault/schedules.spec.ts', START_MS + count * SCHEDULE_MS, {
    FAULT_SEED: String(first),
    FAULT_SCHEDULES: String(count),
  });
  const passed = new Set([...output.matchAll(/✓ seed (\d+)/g)].map(([, seed]) => Number(seed)));
  const seeds = Array.from({ length: count }, (_, index) => first + index);
  return { passed: passed.size, failed: seeds.filter((seed) => !passed.has(seed)), output };
}

/** Runs the outage suite. Returns true if the service recovered from every outage. */
async function playOutages(): Promise<boolean> {
  const { output, isPassed } = await jest('test/fault/outages.spec.ts', OUTAGES_MS, {
    OUTAGE_SECONDS: String(OUTAGE_SECONDS),
  });
  console.log(isPassed ? output.match(/^.*[✓○].*$/gm)?.join('\n') : output);
  const [played, skipped] = ['✓', '○'].map((mark) => output.split(mark).length - 1);
  const hasRecovered = isPassed && played! > 0;
  console.log(
    `outages of ${OUTAGE_SECONDS} s: ${hasRecovered ? `recovered from each of ${played}` : 'failed'}, ${skipped} skipped`,
  );
  return hasRecovered;
}

const HELP = `
Usage: npm run fault -- [--schedules 500] [--seed 1] [--[no-]outages]

Runs seeded fault schedules and checks that the invariants hold after each. By default it runs 500 schedules (about 40
minutes), and then outages of one minute each.

  --schedules N         number of schedules
  --seed N              the first seed; an interrupted run prints the seed to continue with
  --outages             runs the outages after a partial run too; --no-outages skips them
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
      : `${seeds}: ${failed.length} failed; repeat one with FAULT_SCHEDULES=1 and FAULT_SEED=${failed.join(', ')}`,
  );
  const recovered = (values.outages ?? isWhole) ? await playOutages() : true;
  if (failed.length > 0 || !recovered) process.exitCode = 1;
});
