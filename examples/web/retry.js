/** A failure of the network or a server. The failed call can be repeated without harm. */
export class TryAgain extends Error {
  constructor(message, afterSeconds = 0) {
    super(message);
    this.afterSeconds = afterSeconds;
  }
}

const RETRIES = 8;
const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 30_000;

/** Waits for `ms` milliseconds, or until the network is back. Throws the signal's reason when it is aborted. */
export function pause(ms, signal) {
  return new Promise((resolve, reject) => {
    const end = (complete) => () => {
      clearTimeout(timer);
      removeEventListener('online', awake);
      signal.removeEventListener('abort', stop);
      complete();
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
 * Repeats work that throws TryAgain for about two minutes. Pauses double each time, are random so that clients do not retry
 * in step, and are at least as long as the server asked for.
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
