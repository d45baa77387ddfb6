/** What failed for want of a network or a server: nothing was done, or it does no harm to do it again. */
export class TryAgain extends Error {
  constructor(message, afterSeconds = 0) {
    super(message);
    this.afterSeconds = afterSeconds;
  }
}

const RETRIES = 8;
const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 30_000;

/** Waits, but not for a network that has come back. Throws the signal's reason when it is aborted. */
export function pause(ms, signal) {
  return new Promise((resolve, reject) => {
    const end = (settle) => () => {
      clearTimeout(timer);
      removeEventListener('online', awake);
      signal.removeEventListener('abort', stop);
      settle();
    };
    const awake = end(resolve);
    const stop = end(() => reject(signal.reason));
    const timer = setTimeout(awake, ms);
    addEventListener('online', awake);
    signal.addEventListener('abort', stop);
    if (signal.aborted) stop();
  });
}

/**
 * Repeats what throws TryAgain, for some two minutes: after pauses that double each time, of random length so that not all
 * clients come back at once, and no shorter than the server asked for.
 */
export async function retried(work, { signal, onPause }) {
  for (let attempt = 0; ; attempt++) {
    signal.throwIfAborted();
    try {
      return await work();
    } catch (error) {
      signal.throwIfAborted();
      if (!(error instanceof TryAgain) || attempt === RETRIES) throw error;
      const most = Math.min(FIRST_PAUSE_MS * 2 ** attempt, LONGEST_PAUSE_MS);
      const ms = Math.max(error.afterSeconds * 1000, (most * (1 + Math.random())) / 2);
      onPause(error, ms);
      await pause(ms, signal);
    }
  }
}
