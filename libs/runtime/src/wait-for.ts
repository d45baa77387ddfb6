import { Logger } from '@nestjs/common';
import { setTimeout as delay } from 'node:timers/promises';

const PAUSE_MS = 500;
const REPORT_MS = 10_000;

let waits = 0;

/** Whether this process waits for something that it needs to start. */
export const isWaiting = (): boolean => waits > 0;

/**
 * Repeats `attempt` until it succeeds, without a limit, and logs every ten seconds what is waited for. For the start of a
 * process, which may be up before what it depends on.
 * @param what is waited for, e.g. `PostgreSQL`
 * @param isTemporary whether an error may pass; any other is thrown at once
 */
export async function waitFor<T>(
  what: string,
  attempt: () => Promise<T>,
  isTemporary: (error: unknown) => boolean = () => true,
): Promise<T> {
  waits++;
  try {
    return await repeated(what, attempt, isTemporary);
  } finally {
    waits--;
  }
}

async function repeated<T>(
  what: string,
  attempt: () => Promise<T>,
  isTemporary: (error: unknown) => boolean,
): Promise<T> {
  const started = performance.now();
  for (let reported = started; ; await delay(PAUSE_MS)) {
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
}
