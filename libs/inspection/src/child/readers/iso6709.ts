import type { Place } from './tags.js';

/** Parses the location of a video: ISO 6709 in degrees, `+48.8577+002.295+035/`; null if there is none. */
export function parseIso6709(text: string | undefined): Place | null {
  const [, latitude, longitude] =
    /^\s*([+-]\d{1,2}(?:\.\d{1,20})?)([+-]\d{1,3}(?:\.\d{1,20})?)/.exec(text ?? '') ?? [];
  return latitude === undefined ? null : { latitude: Number(latitude), longitude: Number(longitude) };
}
