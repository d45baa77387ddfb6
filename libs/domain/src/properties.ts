/** What was found in the bytes. Null where it does not apply or could not be read. */
export interface AssetProperties {
  /** Pixels across and down, as shown: orientation applied. */
  readonly width: number | null;
  readonly height: number | null;
  readonly durationSeconds: number | null;
  readonly pageCount: number | null;
  /** The instant; where no time zone is known, local time read as if it were UTC. */
  readonly takenAt: Date | null;
  /** Of the place where it was taken, minutes east of UTC; null when it is not known. */
  readonly takenAtOffsetMinutes: number | null;
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
  takenAtOffsetMinutes: null,
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
/** Kiribati keeps UTC+14, and nobody UTC-13. */
const MAX_OFFSET_MINUTES = 14 * 60;

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
  return within(value.getUTCFullYear(), 1800, 2100) === null ? null : value;
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
  const takenAt = instant(found.takenAt);
  const offset = whole(found.takenAtOffsetMinutes, -MAX_OFFSET_MINUTES, MAX_OFFSET_MINUTES);
  const seconds = within(found.durationSeconds, 0, MAX_SECONDS);
  const { thumbhash } = found;
  return {
    width: isSized ? width : null,
    height: isSized ? height : null,
    durationSeconds: seconds === null ? null : Math.round(seconds * 1000) / 1000,
    pageCount: whole(found.pageCount, 0, MAX_INTEGER),
    takenAt,
    takenAtOffsetMinutes: takenAt && offset,
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
