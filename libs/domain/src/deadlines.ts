/** The slowest upload that is still waited for, bytes a second: 128 kbit/s. */
const MIN_UPLOAD_RATE = 16 * 1024;
const HOUR_SECONDS = 3600;

/**
 * When the bytes must be there. A URL's expiry says when an upload may start: the body of a PUT gets its size at a minimum
 * rate on top, at least an hour. A RESUMABLE upload gets an hour in which its session must be opened; from then on the
 * session's own end is the deadline.
 */
export function uploadDeadline(urlExpiresAt: Date, sizeBytes: number, method: 'PUT' | 'RESUMABLE'): Date {
  const atMinimumRate = Math.max(HOUR_SECONDS, Math.ceil(sizeBytes / MIN_UPLOAD_RATE));
  const seconds = method === 'RESUMABLE' ? HOUR_SECONDS : atMinimumRate;
  return new Date(urlExpiresAt.getTime() + seconds * 1000);
}

/** When a sweeper first looks for bytes whose event may be lost; from then on less and less often. */
export const FIRST_LOOK_MS = 60_000;

/** How long the bytes of a FAILED asset are kept for an operator to try again; the quota holds them for so long. */
export const FAILED_KEEP_MS = 7 * 24 * HOUR_SECONDS * 1000;
