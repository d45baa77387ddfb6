import type { AssetProperties } from '#libs/domain';

export type Place = Pick<AssetProperties, 'hasLocation' | 'latitude' | 'longitude'>;

/** Of a file that says where it was made, whether or not that can be read. */
export const placeOf = (latitude: number | null, longitude: number | null): Place => ({
  hasLocation: true,
  latitude,
  longitude,
});

/** As films have it: ISO 6709 in degrees, `+48.8577+002.295+035/`. */
export function placeOfIso6709(text: string): Place {
  const [, latitude, longitude] = /^\s*([+-]\d{1,2}(?:\.\d+)?)([+-]\d{1,3}(?:\.\d+)?)/.exec(text) ?? [];
  return latitude === undefined ? placeOf(null, null) : placeOf(Number(latitude), Number(longitude));
}
