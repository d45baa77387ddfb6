import { pause, TryAgain } from './retry.js';

const FIRST_PAUSE_MS = 300;
const LONGEST_PAUSE_MS = 10_000;
/**
 * While there are live updates, asking is for what gets lost: an update, or storage's own event, which is there within the
 * first seconds, else the server is asked to look.
 */
const LIVE_PAUSE_MS = { PENDING: 5_000, PROCESSING: 20_000 };

/** Statuses that last; one that is unknown to this client is like PROCESSING. */
const FINAL = new Set(['READY', 'REJECTED', 'FAILED', 'EXPIRED', 'CANCELLED', 'DELETED']);
export const isSettled = ({ status }) => FINAL.has(status);

/**
 * The asset, once it is decided what becomes of it. Live updates make it quick, asking makes it sure: first often, then
 * less and less.
 */
export async function settled(api, first, { signal, onChange }) {
  if (isSettled(first)) return first;
  const found = Promise.withResolvers();
  const over = new AbortController();
  const either = AbortSignal.any([signal, over.signal]);
  let asset = first;
  const see = (seen) => {
    asset = seen;
    onChange(seen);
    if (isSettled(seen)) found.resolve(seen);
  };
  let isLive = true;
  const updates = api.watch(first.id, see, either).finally(() => (isLive = false));
  const ask = async () => {
    const began = Date.now();
    for (let ms = FIRST_PAUSE_MS; ; ms = Math.min(ms * 1.5, LONGEST_PAUSE_MS)) {
      if (isLive)
        await Promise.race([updates, pause(LIVE_PAUSE_MS[asset.status] ?? LIVE_PAUSE_MS.PROCESSING, either)]);
      else await pause(ms, either);
      const isLate = asset.status === 'PENDING' && Date.now() - began >= LIVE_PAUSE_MS.PENDING;
      try {
        see(await (isLate ? api.complete : api.asset)(asset.id, either));
      } catch (error) {
        if (!(error instanceof TryAgain)) throw error;
      }
    }
  };
  ask().catch(found.reject);
  try {
    return await found.promise;
  } finally {
    over.abort();
  }
}
