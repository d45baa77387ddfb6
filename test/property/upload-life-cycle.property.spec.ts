import { afterAll, beforeAll, expect, it, jest } from '@jest/globals';
import fc from 'fast-check';
import { QueueService } from '#libs/queue';
import { World } from '../../libs/testing/src/world.js';
import { EffectSessions, EffectStore, makeEffects } from './effects.js';
import { Inventory } from './inventory.js';
import { EVENTS } from './model.js';
import { Run } from './run.js';
import { QUOTA, type Step, stepsOf } from './steps.js';

// Real: PostgreSQL, queue tables, storage emulator, all services. Clients, events, workers, operators and the clock are
// simulated. The seed alone determines a run. The first seed is random, in CI fixed; PROPERTY_SEED and PROPERTY_STEPS of a
// failure replay it.
const STEPS = Number(process.env.PROPERTY_STEPS ?? 20_000);
const SEED = Number(process.env.PROPERTY_SEED ?? (process.env.CI === 'true' ? 10_000 : Date.now() % 2 ** 31));
/** Long enough that quotas fill and objects are shared, short enough to shrink. */
const RUN_STEPS = 400;
const SHRINK_MS = 120_000;
const SHOWN_STEPS = 20;
const FIRST_DAY = Date.UTC(2031, 0, 1);

let world: World;
const inventory = new Inventory();
const happened = new Map<string, number>();

beforeAll(async () => {
  world = await World.start({
    ...QUOTA,
    // Concurrent operations stand for processes that may die alone, so their statements are not batched.
    batches: { atOnce: Infinity, most: 1 },
    around: (real) => new EffectStore(real, inventory),
    aroundSessions: (real) => new EffectSessions(real),
  });
  makeEffects(world.database, world.module.get(QueueService));
  // Only dates are fake, so that the test sets the time. Timers are real.
  jest.useFakeTimers({
    now: FIRST_DAY,
    doNotFake: [
      ...(['hrtime', 'nextTick', 'performance', 'queueMicrotask', 'setImmediate', 'clearImmediate'] as const),
      ...(['setInterval', 'clearInterval', 'setTimeout', 'clearTimeout'] as const),
    ],
  });
});
afterAll(async () => {
  jest.useRealTimers();
  await world[Symbol.asyncDispose]();
});

/** Plays the steps and returns the failure, or null. */
async function play(steps: readonly Step[]): Promise<Error | null> {
  const run = await Run.start(world, inventory, (now) => jest.setSystemTime(now), FIRST_DAY);
  let done = 0;
  try {
    for (const each of steps) {
      await run.step(each);
      done += 1;
    }
    await run.finish();
    for (const event of run.happened) happened.set(event, (happened.get(event) ?? 0) + 1);
    return null;
  } catch (error) {
    await run.abandon();
    return new Error(`after ${done} of ${steps.length} steps`, { cause: error });
  }
}

/** Removes smaller and smaller parts of the steps as long as some failure remains, not necessarily the first one. */
async function shrink(steps: readonly Step[]): Promise<readonly Step[]> {
  const until = performance.now() + SHRINK_MS;
  let left = steps;
  for (let size = Math.ceil(steps.length / 2); size >= 1; size = size === 1 ? 0 : Math.ceil(size / 2)) {
    for (let from = 0; from < left.length && performance.now() < until;) {
      const fewer = [...left.slice(0, from), ...left.slice(from + size)];
      if ((await play(fewer)) === null) from += size;
      else left = fewer;
    }
  }
  return left;
}

function messages(error: unknown): string {
  return error instanceof Error ? `${error.message}\n${messages(error.cause)}` : '';
}

it(
  `holds its invariants over ${STEPS} random steps`,
  async () => {
    for (let played = 0, seed = SEED; played < STEPS; seed++) {
      const length = Math.min(RUN_STEPS, STEPS - played);
      const [steps] = fc.sample(stepsOf(RUN_STEPS), { seed, numRuns: 1, unbiased: true });
      const first = steps!.slice(0, length);
      const failed = await play(first);
      if (failed !== null) {
        const few = await shrink(first);
        const failure = (await play(few)) ?? failed;
        // Only the last steps, because a truncated log would show nothing else.
        const lines = few.slice(-SHOWN_STEPS).map((each) => JSON.stringify(each));
        throw new Error(
          `PROPERTY_SEED=${seed} PROPERTY_STEPS=${length} reproduces it:\n${messages(failure)}\nOf ${few.length} steps that suffice:\n${lines.join('\n')}`,
          { cause: failure },
        );
      }
      played += length;
    }
    // A run proves something only if every event happens.
    if (STEPS >= 5_000) expect(EVENTS.filter((event) => !happened.has(event))).toEqual([]);
  },
  Math.max(10 * 60_000, STEPS * 120),
);
