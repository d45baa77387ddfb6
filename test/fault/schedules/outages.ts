import type { FaultRule } from '#libs/gcp-emulator';
import { rows } from '../uploads.js';
import type { OutageName } from './schedule.js';
import type { Stage } from './stage.js';

/** A running outage. */
export interface Outage {
  /** Whether a worker has met the outage. */
  isMet(): Promise<boolean>;
  /** Ends the outage. Storage faults are cleared by the stage. */
  end(): Promise<void>;
}

const HOUR_MS = 3_600_000;
const CUTS = 3;
const nothing = () => Promise.resolve();

const storage =
  (action: FaultRule['action'], enough: number, more: Partial<FaultRule> = {}) =>
  async ({ faults }: Stage): Promise<Outage> => {
    const rule = await faults.add({ match: { api: 'json' }, action, ...more });
    return { isMet: async () => (await faults.hits(rule)) >= enough, end: nothing };
  };

const areJobsActive = async ({ fleet }: Stage) =>
  (await rows(fleet, `select 1 from bullmq.job where state = 'active'`)).length > 0;

/** Returns a function that tells whether the worker has logged the text since this call. */
function logged(stage: Stage, text: string): () => Promise<boolean> {
  const { worker } = stage;
  const from = worker.output.length;
  return () => Promise.resolve(worker.output.includes(text, from));
}

const scannerKilled = (stage: Stage): Outage => ({
  isMet: logged(stage, 'SCANNER_UNAVAILABLE'),
  end: () => stage.clamd!.run(),
});

const BEGINNINGS: Readonly<Record<OutageName, (stage: Stage) => Promise<Outage>>> = {
  nothing: () => Promise.resolve({ isMet: () => Promise.resolve(false), end: nothing }),
  'storage answers 503': storage({ status: 503 }, 3),
  'storage is silent': storage({ delayMs: HOUR_MS }, 1),
  'storage loses answers': storage({ cutAfterBytes: 0, direction: 'response' }, 4, {
    probability: 0.5,
    seed: 7,
  }),
  'the scanner is killed': async (stage) => {
    await stage.clamd!.kill();
    return scannerKilled(stage);
  },
  'the scanner hangs': (stage) => {
    stage.clamd!.pause();
    return Promise.resolve({
      isMet: () => areJobsActive(stage),
      end: () => Promise.resolve(stage.clamd!.resume()),
    });
  },
  'the scanner hangs and is killed': (stage) => {
    stage.clamd!.pause();
    let killed: Outage | undefined;
    return Promise.resolve({
      isMet: async () => {
        if (killed === undefined && (await areJobsActive(stage))) {
          killed = scannerKilled(stage);
          await stage.clamd!.kill();
        }
        return killed?.isMet() ?? false;
      },
      end: async () => {
        await stage.clamd!.kill();
        await stage.clamd!.run();
      },
    });
  },
  'PostgreSQL cuts connections': (stage) => {
    let cuts = 0;
    return Promise.resolve({
      isMet: async () => {
        if (await areJobsActive(stage)) {
          stage.proxy.cut();
          cuts += 1;
        }
        return cuts >= CUTS;
      },
      end: nothing,
    });
  },
  'PostgreSQL refuses connections': async (stage) => {
    const isMet = logged(stage, 'DATABASE_UNAVAILABLE');
    await stage.proxy.refuse();
    return { isMet, end: () => stage.proxy.pass() };
  },
};

const isOfScanner = (name: OutageName) => name.startsWith('the scanner');

/** A stage without clamd has no scanner to take down: storage answers 503 instead. */
export const beginOutage = (name: OutageName, stage: Stage): Promise<Outage> =>
  BEGINNINGS[isOfScanner(name) && stage.clamd === null ? 'storage answers 503' : name](stage);
