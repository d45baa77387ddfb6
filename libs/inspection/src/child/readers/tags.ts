import { asIfUtc, type AssetProperties } from '#libs/domain';

/** The creation time of a file: the instant if the time zone is known, and local time. */
export type Instant = Pick<AssetProperties, 'takenAt' | 'takenAtLocal'>;

/** A location in degrees, north and east positive; NaN if unreadable. */
export interface Place {
  readonly latitude: number;
  readonly longitude: number;
}

/** The part of a file that contains a tag. `header` is the container's own, such as the movie header. */
export type Source = 'exif' | 'xmp' | 'iptc' | 'png' | 'keys' | 'udta' | 'ilst' | 'header';

/** The tags of one source. Readers of formats only collect them and do not choose between sources. */
export interface Tags {
  /** Exposure time, or start of the recording. */
  readonly taken?: Instant | null | undefined;
  /** Time of digitisation. */
  readonly digitized?: Instant | null | undefined;
  /** Creation time of the work, as written by editors and containers. */
  readonly created?: Instant | null | undefined;
  readonly place?: Place | null | undefined;
  readonly cameraMake?: string | undefined;
  readonly cameraModel?: string | undefined;
  readonly title?: string | undefined;
  readonly artist?: string | undefined;
  readonly album?: string | undefined;
}

export type TagSources = Partial<Record<Source, Tags>>;

/** Sources of each property in order of priority: the first readable value is used. */
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

export type MergedTags = Partial<
  Pick<
    AssetProperties,
    'hasLocation' | 'latitude' | 'longitude' | 'cameraMake' | 'cameraModel' | 'title' | 'artist' | 'album'
  >
> &
  Partial<Instant>;

/** Selects the first time. If it has no time zone, takes the offset from another source with the same local time. */
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

/** Merges the tags of a file by one rule for all formats. An unreadable location is ignored. */
export function mergeTags(sources: TagSources): MergedTags {
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
