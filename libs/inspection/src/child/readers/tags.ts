import { asIfUtc, type AssetProperties } from '#libs/domain';

/** When a file was made: the instant where the zone is known, and local time. */
export type Instant = Pick<AssetProperties, 'takenAt' | 'takenAtLocal'>;

/** Degrees, north and east positive; NaN where they are not readable. */
export interface Place {
  readonly latitude: number;
  readonly longitude: number;
}

/** Where in a file a tag stands. `header` is the container's own, such as the time in the head of a film. */
export type Source = 'exif' | 'xmp' | 'iptc' | 'png' | 'keys' | 'udta' | 'ilst' | 'header';

/** What one source says. Readers of formats fill these and decide nothing. */
export interface Tags {
  /** When the shutter opened or the recording began. */
  readonly taken?: Instant | null | undefined;
  /** When it was digitised. */
  readonly digitized?: Instant | null | undefined;
  /** When the work was made, as editors and containers have it. */
  readonly created?: Instant | null | undefined;
  readonly place?: Place | null | undefined;
  readonly cameraMake?: string | undefined;
  readonly cameraModel?: string | undefined;
  readonly title?: string | undefined;
  readonly artist?: string | undefined;
  readonly album?: string | undefined;
}

export type TagSources = Partial<Record<Source, Tags>>;

/** What each property is taken from: the first that can be read. */
const TIMES = [
  ['exif', 'taken'],
  ['keys', 'taken'],
  ['xmp', 'taken'],
  ['exif', 'digitized'],
  ['xmp', 'created'],
  ['iptc', 'created'],
  ['xmp', 'digitized'],
  ['png', 'created'],
  ['udta', 'created'],
  ['ilst', 'created'],
  ['header', 'created'],
] as const satisfies readonly (readonly [Source, keyof Tags])[];
const PLACES = ['exif', 'keys', 'udta', 'xmp'] as const satisfies readonly Source[];
const TEXTS = {
  cameraMake: ['exif', 'keys', 'udta', 'xmp'],
  cameraModel: ['exif', 'keys', 'udta', 'xmp'],
  title: ['keys', 'ilst', 'udta', 'xmp', 'iptc', 'png'],
  artist: ['keys', 'ilst', 'udta'],
  album: ['keys', 'ilst', 'udta'],
} as const satisfies Partial<Record<keyof Tags, readonly Source[]>>;

export type Told = Partial<
  Pick<
    AssetProperties,
    'hasLocation' | 'latitude' | 'longitude' | 'cameraMake' | 'cameraModel' | 'title' | 'artist' | 'album'
  >
> &
  Partial<Instant>;

/** The first time; with its zone from another source that has the same local time, where it has none of its own. */
function timeOf(sources: TagSources): Instant | null {
  const times = TIMES.map(([source, tag]) => sources[source]?.[tag]).filter((time) => time != null);
  const [first] = times;
  if (first?.takenAtLocal == null || first.takenAt !== null) return first ?? null;
  const own = asIfUtc(first.takenAtLocal).getTime();
  for (const { takenAt, takenAtLocal } of times) {
    if (takenAt === null || takenAtLocal === null) continue;
    const other = asIfUtc(takenAtLocal).getTime();
    if (Math.floor(own / 1000) !== Math.floor(other / 1000)) continue;
    return { ...first, takenAt: new Date(own - (other - takenAt.getTime())) };
  }
  return first;
}

const isOnEarth = ({ latitude, longitude }: Place) => Math.abs(latitude) <= 90 && Math.abs(longitude) <= 180;

function placeOf(sources: TagSources): Place | null {
  const places = PLACES.map((source) => sources[source]?.place);
  return places.find((place) => place != null && isOnEarth(place)) ?? null;
}

/** What a file says of itself, by one rule for all formats: a place that cannot be read is none. */
export function settle(sources: TagSources): Told {
  const place = placeOf(sources);
  const texts = Object.entries(TEXTS).map(([property, order]) => {
    const found = order.map((source) => sources[source]?.[property as keyof typeof TEXTS]);
    return [property, found.find((text) => text !== undefined && text.trim() !== '')] as const;
  });
  return {
    ...Object.fromEntries(texts.filter(([, text]) => text !== undefined)),
    ...timeOf(sources),
    ...(place !== null && { hasLocation: true, ...place }),
  };
}
