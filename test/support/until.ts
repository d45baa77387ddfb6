import { setTimeout as delay } from 'node:timers/promises';

/**
 * The one limit of everything that a test waits for, in milliseconds: it ends a test that hangs, and is far above what a busy
 * machine takes. Jest's own limit (jest.config.mjs) is above it.
 */
export const LIMIT_MS = 300_000;

/** Polls, since what it waits for happens in other processes. */
export async function until<T>(what: string, look: () => Promise<T | null> | T | null): Promise<T> {
  for (const end = Date.now() + LIMIT_MS; ; await delay(50)) {
    const found = await look();
    if (found !== null) return found;
    if (Date.now() > end) throw new Error(`This did not come true: ${what}`);
  }
}
