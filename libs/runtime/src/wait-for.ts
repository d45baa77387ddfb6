import { Logger } from '@nestjs/common';
import { setTimeout as delay } from 'node:timers/promises';

const PAUSE_MS = 500;
const REPORT_MS = 10_000;

let waits = 0;

/** Whether this process waits for a dependency during its start. */
export const isWaiting = (): boolean => waits > 0;

/**
 * Retries `attempt` without limit until it succeeds, and logs the pending dependency every ten seconds. For the start
 * of a process, which may begin before its dependencies are available.
 * @param what name of the dependency in the log, e.g. `PostgreSQL`
 * @param isTemporary whether to retry after an error; any other error is thrown immediately
 * @example await waitFor('PostgreSQL', () => database.ping());
 */
export async function waitFor<T>(
  what: string,
  attempt: () => Promise<T>,
  isTemporary: (error: unknown) => boolean = () => true,
): Promise<T> {
  const started = performance.now();
  let reported = started;
  waits++;
  try {
    for (; ; await delay(PAUSE_MS)) {
      try {
        return await attempt();
      } catch (error) {
        if (!isTemporary(error)) throw error;
        const now = performance.now();
        if (now - reported < REPORT_MS) continue;
        reported = now;
        const seconds = Math.round((now - started) / 1000);
        new Logger(waitFor.name).warn({ err: error, seconds }, `waiting for ${what} (${seconds} s)`);
      }
    }
  } finally {
    waits--;
  }
}
