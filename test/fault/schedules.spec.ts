import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { isClamdOnPath } from '../support/clamd.js';
import { play } from './schedules/play.js';
import { wrongAnswers } from './schedules/right-answers.js';
import { makeSchedule } from './schedules/schedule.js';
import { Stage } from './schedules/stage.js';

// The seed alone determines a schedule, and CI always plays the same seeds. FAULT_SEED=… FAULT_SCHEDULES=1 replays one
// schedule, `npm run fault` plays many.
const COUNT = Number(process.env.FAULT_SCHEDULES ?? 40);
const FIRST = Number(process.env.FAULT_SEED ?? (process.env.CI === 'true' ? 1 : Date.now() % 2 ** 31));

const seeds = Array.from({ length: COUNT }, (_, index) => FIRST + index);
const scanner = isClamdOnPath ? 'clamd' : 'the list of signatures';

describe(`schedules of faults (real: an api and workers as processes, PostgreSQL, emulators, ${scanner})`, () => {
  let stage: Stage | null = null;

  beforeAll(() => {
    const replay = COUNT === 1 ? '' : ': FAULT_SEED=… FAULT_SCHEDULES=1 replays one';
    process.stdout.write(`schedules of faults, seeds ${FIRST} to ${FIRST + COUNT - 1}${replay}\n`);
  });
  afterAll(() => stage?.[Symbol.asyncDispose]());

  it.each(seeds)('seed %i', async (seed) => {
    const schedule = makeSchedule(seed);
    const played = (stage ??= await Stage.build());
    const { worker } = played;
    try {
      expect(await wrongAnswers(played, await play(played, schedule))).toEqual([]);
    } catch (error) {
      // The failed schedule may have left any state behind, so the next one gets a new stage.
      const logs = [...new Set([worker, played.worker])]
        .map(({ output }) => output.slice(-LOG_BYTES))
        .join('\n');
      stage = null;
      await played[Symbol.asyncDispose]();
      const told = `FAULT_SEED=${seed} FAULT_SCHEDULES=1: ${JSON.stringify(schedule)}`;
      const message = error instanceof Error ? error.message : String(error);
      throw new Error(`${told}\n${message}\n${logs}`, { cause: error });
    }
  });
});

const LOG_BYTES = 4_000;
