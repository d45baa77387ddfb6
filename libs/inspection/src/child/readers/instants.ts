import { type AssetProperties, localDateTimeOf } from '#libs/domain';

export type Instant = Pick<AssetProperties, 'takenAt' | 'takenAtLocal'>;

/** As in EXIF (2024:05:06 07:08:09), and as in ISO 8601. */
const WRITTEN =
  /^\s*(\d{4})[:-](\d\d)[:-](\d\d)[ T](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d{1,9})\d*)?)?\s*(Z|[+-]\d\d:?\d\d)?/;
const OFFSET = /^\s*(?:(Z)|([+-])(\d\d):?(\d\d))/;

function offsetOf(text: string | undefined): number | null {
  const [, zulu, sign, hours, minutes] = OFFSET.exec(text ?? '') ?? [];
  if (zulu !== undefined) return 0;
  if (sign === undefined) return null;
  return (sign === '-' ? -1 : 1) * (60 * Number(hours) + Number(minutes));
}

/** Null for what is not written in either way, or names a day that is none. */
export function instantOf(text: string | undefined, offset?: string, subSeconds?: string): Instant | null {
  const [, year, month, day, hour, minute, second = '0', fraction, zone] = WRITTEN.exec(text ?? '') ?? [];
  if (year === undefined) return null;
  const local = new Date(0);
  local.setUTCFullYear(Number(year), Number(month) - 1, Number(day));
  if (local.getUTCMonth() !== Number(month) - 1 || local.getUTCDate() !== Number(day)) return null;
  if (Number(hour) > 23 || Number(minute) > 59 || Number(second) > 60) return null;
  const digits = fraction ?? /^\s*(\d+)/.exec(subSeconds ?? '')?.[1] ?? '0';
  const milliseconds = Math.floor(Number(`0.${digits}`) * 1000);
  const minutes = offsetOf(zone ?? offset);
  local.setUTCHours(Number(hour), Number(minute), Number(second), milliseconds);
  return {
    takenAt: minutes === null ? null : new Date(local.getTime() - 60_000 * minutes),
    takenAtLocal: localDateTimeOf(local),
  };
}
