import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { isClamdOnPath } from '../support/clamd.js';
import { play } from './schedules/play.js';
import { wrongAnswers } from './schedules/right-answers.js';
import { makeSchedule } from './schedules/schedule.js';
import { Stage } from './schedules/stage.js';

// A schedule is made of its seed alone. In CI always the same; FAULT_SEED=… FAULT_SCHEDULES=1 plays one again, `npm run fault` many.
const COUNT = Number(process.env.FAULT_SCHEDULES ?? 40);
const FIRST = Number(process.env.FAULT_SEED ?? (process.env.CI === 'true' ? 1 : Date.now() % 2 ** 31));

const seeds = Array.from({ length: COUNT }, (_, index) => FIRST + index);
const scanner = isClamdOnPath ? 'clamd' : 'the list of signatures';

describe(`schedules of faults (real: an api and workers as processes, PostgreSQL, emulators, ${scanner})`, () => {
  let stage: Stage | null = null;

  beforeAll(() => {
    const replay = COUNT === 1 ? '' : ': FAULT_SEED=… FAULT_SCHEDULES=1 plays one again';
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
      // The next schedule finds another stage: who knows what is left of this one.
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
