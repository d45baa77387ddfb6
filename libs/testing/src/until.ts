import { setTimeout as delay } from 'node:timers/promises';

/**
 * Limit for every wait of a test, in milliseconds. It ends a test that hangs, and is far above the time that a busy machine
 * needs. Jest's own limit (jest.config.mjs) is higher.
 */
export const LIMIT_MS = 300_000;

/**
 * Polls until `check` returns a value other than null, because the awaited change happens in another process.
 * @param what the awaited state, for the error message
 * @throws after {@link LIMIT_MS}
 */
export async function until<T>(what: string, check: () => Promise<T | null> | T | null): Promise<T> {
  for (const end = Date.now() + LIMIT_MS; ; await delay(50)) {
    const found = await check();
    if (found !== null) return found;
    if (Date.now() > end) throw new Error(`Timed out waiting until ${what}`);
  }
}
