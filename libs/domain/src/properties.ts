import { asIfUtc, isRecordable, localDateTimeOf, parseLocalDateTime } from './local-date-time.js';

/** What was found in the bytes. Null where it does not apply or could not be read. */
export interface AssetProperties {
  /** Pixels across and down, as shown: orientation applied. */
  readonly width: number | null;
  readonly height: number | null;
  readonly durationSeconds: number | null;
  readonly pageCount: number | null;
  /** The instant; null when the time zone is not known. */
  readonly takenAt: Date | null;
  /** Local time without a zone, `2026-01-31T12:00:00` or with milliseconds; UTC where only UTC is known. */
  readonly takenAtLocal: string | null;
  readonly cameraMake: string | null;
  readonly cameraModel: string | null;
  /** Whether the bytes say where they were made. */
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

/** The longest that each text may be, in characters. */
const TEXTS = { cameraMake: 128, cameraModel: 128, title: 512, artist: 512, album: 512 } as const;
const THUMBHASH = /^[A-Za-z0-9+/]{4,62}={0,2}$/;
const MAX_INTEGER = 2 ** 31 - 1;
const MAX_SECONDS = 1e9;
/** The time zones in use go from UTC-12 to UTC+14. */
const MIN_OFFSET_MS = -12 * 3_600_000;
const MAX_OFFSET_MS = 14 * 3_600_000;

/** One line without control characters, lone surrogates and the like; null for an empty one. */
function line(value: unknown, length: number): string | null {
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

/** An instant gives its UTC as local time; a local time that no zone explains takes the instant away. */
function taken(found: { takenAt?: unknown; takenAtLocal?: unknown }) {
  const takenAt = instant(found.takenAt);
  const local = parseLocalDateTime(found.takenAtLocal);
  if (takenAt === null || local === null)
    return { takenAt, takenAtLocal: takenAt ? localDateTimeOf(takenAt) : local };
  const offset = within(asIfUtc(local).getTime() - takenAt.getTime(), MIN_OFFSET_MS, MAX_OFFSET_MS);
  return { takenAt: offset === null ? null : takenAt, takenAtLocal: local };
}

/**
 * What of it can be true and be stored: numbers in their ranges, pairs whole or not at all, texts of one line in the length of
 * their columns, seconds to the millisecond. For what comes from files and from processes that have read them.
 */
export function soundProperties(found: { readonly [P in keyof AssetProperties]?: unknown }): AssetProperties {
  const width = whole(found.width, 1, MAX_INTEGER);
  const height = whole(found.height, 1, MAX_INTEGER);
  const latitude = within(found.latitude, -90, 90);
  const longitude = within(found.longitude, -180, 180);
  const isSized = width !== null && height !== null;
  const isPlaced = latitude !== null && longitude !== null;
  const seconds = within(found.durationSeconds, 0, MAX_SECONDS);
  const { thumbhash } = found;
  return {
    width: isSized ? width : null,
    height: isSized ? height : null,
    durationSeconds: seconds === null ? null : Math.round(seconds * 1000) / 1000,
    pageCount: whole(found.pageCount, 0, MAX_INTEGER),
    ...taken(found),
    cameraMake: line(found.cameraMake, TEXTS.cameraMake),
    cameraModel: line(found.cameraModel, TEXTS.cameraModel),
    hasLocation: isPlaced || (typeof found.hasLocation === 'boolean' ? found.hasLocation : null),
    latitude: isPlaced ? latitude : null,
    longitude: isPlaced ? longitude : null,
    title: line(found.title, TEXTS.title),
    artist: line(found.artist, TEXTS.artist),
    album: line(found.album, TEXTS.album),
    thumbhash: typeof thumbhash === 'string' && THUMBHASH.test(thumbhash) ? thumbhash : null,
  };
}
