import { localDateTimeOf } from '#libs/domain';
import type { Instant } from './tags.js';

/** Local time or UTC, as in EXIF (2024:05:06 07:08:09), in ISO 8601, or in 12-hour notation (01:05 PM). */
const WRITTEN =
  /^\s*(\d{4})[:/-](\d\d)[:/-](\d\d)[ T](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d{1,9})\d{0,9})?)?(?: ?([AP])M)?\s*(Z|[+-]\d\d:?\d\d)?\s*$/i;
const OFFSET = /^\s*(?:(Z)|([+-])(\d\d):?(\d\d))\s*$/i;
/** Minutes; the time zones in use range from UTC-12 to UTC+14. */
const [MIN_OFFSET, MAX_OFFSET] = [-12 * 60, 14 * 60];
const NOON = 12;

/** Parses a time zone into minutes east of UTC; null if the text is not a valid one. */
function offsetOf(text: string | undefined): number | null {
  const [, zulu, sign, hours, minutes] = OFFSET.exec(text ?? '') ?? [];
  if (zulu !== undefined) return 0;
  if (sign === undefined || Number(minutes) > 59) return null;
  const offset = (sign === '-' ? -1 : 1) * (60 * Number(hours) + Number(minutes));
  return offset < MIN_OFFSET || offset > MAX_OFFSET ? null : offset;
}

/** Returns the hour from 0 to 23, from 12-hour notation if `half` is given; NaN if the hour is invalid. */
function hourOf(hour: number, half: string | undefined): number {
  if (half === undefined) return hour > 23 ? NaN : hour;
  if (hour < 1 || hour > NOON) return NaN;
  return (hour % NOON) + (half.toUpperCase() === 'P' ? NOON : 0);
}

/** Makes an instant from a time in UTC. */
export const instantOfUtc = (takenAt: Date): Instant => ({ takenAt, takenAtLocal: localDateTimeOf(takenAt) });

/**
 * Parses a written time, with a time zone and fractions of a second that may be stored separately. Null if the text has an
 * unknown form or is not a valid date; `takenAt` is null if the time zone is missing or invalid.
 */
export function instantOf(text: string | undefined, offset?: string, subSeconds?: string): Instant | null {
  const [, year, month, day, hour, minute, second = '0', fraction, half, zone] =
    WRITTEN.exec(text?.replace(/[\0\s]+$/, '') ?? '') ?? [];
  if (year === undefined) return null;
  const local = new Date(0);
  local.setUTCFullYear(Number(year), Number(month) - 1, Number(day));
  if (local.getUTCMonth() !== Number(month) - 1 || local.getUTCDate() !== Number(day)) return null;
  const hours = hourOf(Number(hour), half);
  if (Number.isNaN(hours) || Number(minute) > 59 || Number(second) > 60) return null;
  const digits = fraction ?? /^\s*(\d{1,9})/.exec(subSeconds ?? '')?.[1] ?? '0';
  const milliseconds = Math.floor(Number(`0.${digits}`) * 1000);
  local.setUTCHours(hours, Number(minute), Number(second), milliseconds);
  const minutes = offsetOf(zone ?? offset);
  return {
    takenAt: minutes === null ? null : new Date(local.getTime() - minutes * 60_000),
    takenAtLocal: localDateTimeOf(local),
  };
}
