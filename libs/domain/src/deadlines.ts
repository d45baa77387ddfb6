/** The slowest upload that is still waited for, bytes a second: 128 kbit/s. */
const MIN_UPLOAD_RATE = 16 * 1024;
const HOUR_SECONDS = 3600;

/**
 * When the bytes of a PUT must be there: a URL's expiry says when the PUT may start, so the body gets its size at a
 * minimum rate on top, at least an hour.
 */
export const uploadDeadline = (urlExpiresAt: Date, sizeBytes: number) =>
  new Date(urlExpiresAt.getTime() + Math.max(HOUR_SECONDS, Math.ceil(sizeBytes / MIN_UPLOAD_RATE)) * 1000);

/** When a sweeper first looks for bytes whose event may be lost; from then on less and less often. */
export const FIRST_LOOK_MS = 60_000;
