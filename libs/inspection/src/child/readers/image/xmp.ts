import { instantOf } from '../instants.js';
import type { Place, Tags } from '../tags.js';

/** Limit of a packet. Bytes after it are ignored. */
export const MAX_XMP_BYTES = 2 ** 20;

/** Converts degrees, minutes and seconds to degrees; NaN when one of them or the direction is unreadable. */
export function degrees(
  parts: readonly number[],
  direction: string | undefined,
  negative: string,
  positive: string,
): number {
  const [whole = NaN, minutes = 0, seconds = 0] = parts;
  const letter = direction?.trim().toUpperCase();
  const sign = letter === negative ? -1 : letter === positive ? 1 : NaN;
  return sign * (whole + minutes / 60 + seconds / 3600);
}

/** Parses degrees, minutes and optional seconds with a direction: `51,30.25N`, `51,30,15N`. XMP, part 2, GPSCoordinate. */
function xmpDegrees(text: string | undefined, negative: string, positive: string): number {
  const [, parts, direction] = /^\s*([\d.]{1,20}(?:,[\d.]{1,20}){0,2})([NSEW])\s*$/i.exec(text ?? '') ?? [];
  return parts === undefined ? NaN : degrees(parts.split(',').map(Number), direction, negative, positive);
}

const ENTITIES: Readonly<Record<string, string>> = { amp: '&', apos: "'", gt: '>', lt: '<', quot: '"' };
const plain = (text: string | undefined) =>
  text?.replaceAll(/&(amp|apos|gt|lt|quot);/g, (_, name: string) => ENTITIES[name]!);

/** Reads the tags of an XMP packet, from attributes or elements. Each tag is searched for in one pass. */
export function readXmp(packet: Buffer): Tags {
  const text = packet.toString('utf8', 0, MAX_XMP_BYTES);
  const property = (name: string): string | undefined => {
    const found = new RegExp(`\\b${name}(?:\\s{0,8}=\\s{0,8}["']|>)([^"'<]{1,128})["'<]`).exec(text);
    return plain(found?.[1]);
  };
  const translated = (name: string): string | undefined => {
    const found = new RegExp(`<${name}>\\s{0,64}<rdf:Alt>\\s{0,64}<rdf:li[^<>]{0,64}>([^<]{1,2048})<`).exec(
      text,
    );
    return plain(found?.[1]) ?? property(name);
  };
  const place: Place = {
    latitude: xmpDegrees(property('exif:GPSLatitude'), 'S', 'N'),
    longitude: xmpDegrees(property('exif:GPSLongitude'), 'W', 'E'),
  };
  return {
    taken: instantOf(property('exif:DateTimeOriginal'), property('exifEX:OffsetTimeOriginal')),
    created: instantOf(property('photoshop:DateCreated')),
    digitized: instantOf(property('exif:DateTimeDigitized') ?? property('xmp:CreateDate')),
    place,
    cameraMake: property('tiff:Make'),
    cameraModel: property('tiff:Model'),
    title: translated('dc:title'),
  };
}
