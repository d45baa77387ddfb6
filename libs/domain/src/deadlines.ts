/** Minimum upload rate in bytes per second, 128 kbit/s; slower uploads expire. */
const MIN_UPLOAD_RATE = 16 * 1024;
const HOUR_SECONDS = 3600;

/**
 * Computes when an upload expires unless its bytes have arrived. A URL's expiry limits only the start of an upload, so
 * a PUT gets additional time for its size at a minimum rate, at least one hour. A RESUMABLE upload gets one hour to
 * open its session; after that the session's own expiry is the deadline.
 */
export function uploadDeadline(urlExpiresAt: Date, sizeBytes: number, method: 'PUT' | 'RESUMABLE'): Date {
  const atMinimumRate = Math.max(HOUR_SECONDS, Math.ceil(sizeBytes / MIN_UPLOAD_RATE));
  const seconds = method === 'RESUMABLE' ? HOUR_SECONDS : atMinimumRate;
  return new Date(urlExpiresAt.getTime() + seconds * 1000);
}

/**
 * When a sweeper first checks for bytes whose event may be lost, in milliseconds; later checks have growing intervals.
 */
export const FIRST_CHECK_MS = 60_000;

/**
 * How long the bytes and the quota reservation of a FAILED asset are kept for a retry by an operator, in milliseconds.
 */
export const FAILED_KEEP_MS = 7 * 24 * HOUR_SECONDS * 1000;
