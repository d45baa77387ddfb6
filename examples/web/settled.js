import { pause, TryAgain } from './retry.js';

const FIRST_PAUSE_MS = 300;
const LONGEST_PAUSE_MS = 10_000;
/**
 * Polling intervals while live updates arrive: polls only for lost updates. A PENDING asset may have lost its storage event,
 * which comes within seconds otherwise; then `completeUpload` makes the server check storage.
 */
const LIVE_PAUSE_MS = { PENDING: 5_000, PROCESSING: 20_000 };

/** Final statuses. A status that this client does not know is treated like PROCESSING. */
const FINAL = new Set(['READY', 'REJECTED', 'FAILED', 'EXPIRED', 'CANCELLED', 'DELETED']);
export const isSettled = ({ status }) => FINAL.has(status);

/**
 * Resolves with the asset once it has a final status. Live updates make this fast, polling makes it reliable: often at
 * first, then at longer intervals.
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
