const LOCAL = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?$/;
const FIRST_YEAR = 1800;
const LAST_YEAR = 2100;

/**
 * Formats the UTC fields of an instant as a local date and time: `2026-01-31T12:00:00`, with milliseconds where there
 * are any.
 */
export const localDateTimeOf = (instant: Date): string => instant.toISOString().replace(/(\.000)?Z$/, '');

/** Reads a local date and time of {@link parseLocalDateTime} as if it were UTC, for arithmetic and for the database. */
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

/** Whether an instant lies in the years that properties are kept for. */
export function isRecordable(instant: Date): boolean {
  const year = instant.getUTCFullYear();
  return year >= FIRST_YEAR && year <= LAST_YEAR;
}
