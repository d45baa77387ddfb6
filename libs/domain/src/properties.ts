import { asIfUtc, isRecordable, localDateTimeOf, parseLocalDateTime } from './local-date-time.js';

/** Properties read from a file's bytes. Null if a property does not apply or could not be read. */
export interface AssetProperties {
  /** Width in pixels as displayed, orientation applied. */
  readonly width: number | null;
  /** Height in pixels as displayed, orientation applied. */
  readonly height: number | null;
  readonly durationSeconds: number | null;
  readonly pageCount: number | null;
  /** Instant of recording; null if the time zone is unknown. */
  readonly takenAt: Date | null;
  /** Local time without a zone, `2026-01-31T12:00:00` or with milliseconds; the UTC time if only that is known. */
  readonly takenAtLocal: string | null;
  readonly cameraMake: string | null;
  readonly cameraModel: string | null;
  /** Whether the file contains the position where it was recorded. */
  readonly hasLocation: boolean | null;
  /** WGS 84 degrees, north and east positive. */
  readonly latitude: number | null;
  readonly longitude: number | null;
  readonly title: string | null;
  readonly artist: string | null;
  readonly album: string | null;
  /** Base64 of a ThumbHash: https://evanw.github.io/thumbhash/ */
  readonly thumbhash: string | null;
}

/** Properties of a file from which no property could be read. */
export const NO_PROPERTIES: AssetProperties = {
  width: null,
  height: null,
  durationSeconds: null,
  pageCount: null,
  takenAt: null,
  takenAtLocal: null,
  cameraMake: null,
  cameraModel: null,
  hasLocation: null,
  latitude: null,
  longitude: null,
  title: null,
  artist: null,
  album: null,
  thumbhash: null,
};

/** Maximum length of each text, in characters. */
const TEXTS = { cameraMake: 128, cameraModel: 128, title: 512, artist: 512, album: 512 } as const;
const THUMBHASH = /^[A-Za-z0-9+/]{4,62}={0,2}$/;
const MAX_INTEGER = 2 ** 31 - 1;
const MAX_SECONDS = 1e9;
/** The time zones in use go from UTC-12 to UTC+14. */
const MIN_OFFSET_MS = -12 * 3_600_000;
const MAX_OFFSET_MS = 14 * 3_600_000;

/** Returns one line of at most `length` characters, without control characters and lone surrogates; null if it is empty. */
export function lineOf(value: unknown, length: number): string | null {
  if (typeof value !== 'string') return null;
  const text = value
    .slice(0, 4 * length)
    .toWellFormed()
    .replaceAll(/[\p{Cc}\p{Zl}\p{Zp}\s]+/gu, ' ')
    .replaceAll(/[\u202a-\u202e\u2066-\u2069\ufffd]/g, '')
    .trim();
  return Array.from(text).slice(0, length).join('').trim() || null;
}

const within = (value: unknown, least: number, most: number): number | null =>
  typeof value === 'number' && value >= least && value <= most ? value : null;

const whole = (value: unknown, least: number, most: number) =>
  Number.isInteger(value) ? within(value, least, most) : null;

function instant(value: unknown): Date | null {
  if (!(value instanceof Date) || Number.isNaN(value.getTime())) return null;
  return isRecordable(value) ? value : null;
}

/**
 * Derives the local time from the instant if only the instant is known. Drops an instant whose offset to the local time
 * is no valid time zone.
 */
function takenTimes(found: { takenAt?: unknown; takenAtLocal?: unknown }) {
  const takenAt = instant(found.takenAt);
  const local = parseLocalDateTime(found.takenAtLocal);
  if (takenAt === null || local === null)
    return { takenAt, takenAtLocal: takenAt ? localDateTimeOf(takenAt) : local };
  const offset = within(asIfUtc(local).getTime() - takenAt.getTime(), MIN_OFFSET_MS, MAX_OFFSET_MS);
  return { takenAt: offset === null ? null : takenAt, takenAtLocal: local };
}

/**
 * Sanitizes properties that come from files and from the child processes that read them: numbers within their ranges,
 * pairs complete or null, one-line texts within their columns' lengths, seconds rounded to milliseconds. Invalid values
 * become null.
 */
export function sanitizeProperties(found: {
  readonly [P in keyof AssetProperties]?: unknown;
}): AssetProperties {
  const width = whole(found.width, 1, MAX_INTEGER);
  const height = whole(found.height, 1, MAX_INTEGER);
  const latitude = within(found.latitude, -90, 90);
  const longitude = within(found.longitude, -180, 180);
  const hasSize = width !== null && height !== null;
  const hasPosition = latitude !== null && longitude !== null;
  const seconds = within(found.durationSeconds, 0, MAX_SECONDS);
  const { thumbhash } = found;
  return {
    width: hasSize ? width : null,
    height: hasSize ? height : null,
    durationSeconds: seconds === null ? null : Math.round(seconds * 1000) / 1000,
    pageCount: whole(found.pageCount, 0, MAX_INTEGER),
    ...takenTimes(found),
    cameraMake: lineOf(found.cameraMake, TEXTS.cameraMake),
    cameraModel: lineOf(found.cameraModel, TEXTS.cameraModel),
    hasLocation: hasPosition || (typeof found.hasLocation === 'boolean' ? found.hasLocation : null),
    latitude: hasPosition ? latitude : null,
    longitude: hasPosition ? longitude : null,
    title: lineOf(found.title, TEXTS.title),
    artist: lineOf(found.artist, TEXTS.artist),
    album: lineOf(found.album, TEXTS.album),
    thumbhash: typeof thumbhash === 'string' && THUMBHASH.test(thumbhash) ? thumbhash : null,
  };
}
