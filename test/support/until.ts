import { setTimeout as delay } from 'node:timers/promises';

const LIMIT_MS = 60_000;

/** Polls, since what it waits for happens in other processes. */
export async function until<T>(
  what: string,
  look: () => Promise<T | null> | T | null,
  limitMs = LIMIT_MS,
): Promise<T> {
  for (const end = Date.now() + limitMs; ; await delay(50)) {
    const found = await look();
    if (found !== null) return found;
    if (Date.now() > end) throw new Error(`This did not come true: ${what}`);
  }
}
