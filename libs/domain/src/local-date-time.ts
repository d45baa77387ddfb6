const LOCAL = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?$/;
const FIRST_YEAR = 1800;
const LAST_YEAR = 2100;

/**
 * Formats the UTC fields of an instant as a local date and time: `2026-01-31T12:00:00`, with milliseconds unless they
 * are zero.
 */
export const localDateTimeOf = (instant: Date): string => instant.toISOString().replace(/(\.000)?Z$/, '');

/**
 * Converts a local date and time of {@link parseLocalDateTime} to an instant as if in UTC, for arithmetic and storage.
 */
export const asIfUtc = (local: string): Date => new Date(`${local}Z`);

/**
 * Reads an ISO 8601 date and time without a zone, of the years 1800 to 2100; digits after the milliseconds are dropped.
 *
 * @returns the text in its canonical form; null for any other value
 * @example parseLocalDateTime('2026-01-31T12:00:00.0') // '2026-01-31T12:00:00'
 */
export function parseLocalDateTime(value: unknown): string | null {
  const [, seconds, fraction = ''] = (typeof value === 'string' && LOCAL.exec(value)) || [];
  if (seconds === undefined) return null;
  const instant = asIfUtc(`${seconds}.${fraction.slice(0, 3).padEnd(3, '0')}`);
  if (Number.isNaN(instant.getTime()) || !isRecordable(instant)) return null;
  const local = localDateTimeOf(instant);
  // Date.parse turns February 30 into March 1 or 2, and 24:00:00 into the next day.
  return local.startsWith(seconds) ? local : null;
}

/** Whether an instant is within the years that properties may have. */
export function isRecordable(instant: Date): boolean {
  const year = instant.getUTCFullYear();
  return year >= FIRST_YEAR && year <= LAST_YEAR;
}
