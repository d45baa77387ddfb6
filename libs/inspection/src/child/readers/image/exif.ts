import type { AssetProperties } from '#libs/domain';
import { instantOf } from '../instants.js';
import { placeOf, type Place } from '../places.js';
import type { ReadAt } from '../read-at.js';
import { type Fields, TiffReader } from './tiff-fields.js';

/** Fields by their numbers: CIPA DC-008 (Exif 3.0), 4.6. */
const MAKE = 0x010f;
const MODEL = 0x0110;
const XMP = 0x02bc;
const EXIF_DIRECTORY = 0x8769;
const GPS_DIRECTORY = 0x8825;
const LATITUDE_REF = 1;
const LATITUDE = 2;
const LONGITUDE_REF = 3;
const LONGITUDE = 4;

/** When the shutter opened, else when it was digitised: the time, its sub-seconds, its offset. */
const INSTANTS = [
  [0x9003, 0x9291, 0x9011],
  [0x9004, 0x9292, 0x9012],
] as const;

const MAX_XMP_BYTES = 2 ** 20;

export type Shot = Pick<
  AssetProperties,
  'takenAt' | 'takenAtLocal' | 'cameraMake' | 'cameraModel' | 'hasLocation' | 'latitude' | 'longitude'
>;

/** Degrees, minutes and seconds as one number; NaN when one of them or the direction is not readable. */
function degrees(
  parts: readonly number[],
  direction: string | undefined,
  negative: string,
  positive: string,
) {
  const [whole = NaN, minutes = 0, seconds = 0] = parts;
  const letter = direction?.trim().toUpperCase();
  const sign = letter === negative ? -1 : letter === positive ? 1 : NaN;
  return sign * (whole + minutes / 60 + seconds / 3600);
}

async function placeIn(tiff: TiffReader, gps: Fields): Promise<Place | null> {
  if (!gps.has(LATITUDE) && !gps.has(LONGITUDE)) return null;
  const coordinate = async (field: number, ref: number, negative: string, positive: string) =>
    degrees(await tiff.numbers(gps.get(field), 3), await tiff.text(gps.get(ref)), negative, positive);
  return placeOf(
    await coordinate(LATITUDE, LATITUDE_REF, 'S', 'N'),
    await coordinate(LONGITUDE, LONGITUDE_REF, 'W', 'E'),
  );
}

/** What a camera has written into a TIFF, a raw photograph or a block of EXIF; nothing where there is none. */
export async function readExif(at: ReadAt): Promise<Partial<Shot>> {
  const tiff = await TiffReader.open(at);
  if (tiff === null) return {};
  const main = await tiff.fields(tiff.start);
  const directory = async (field: number) => tiff.fields((await tiff.numbers(main.get(field), 1))[0]);
  const exif = await directory(EXIF_DIRECTORY);
  let instant = null;
  for (const [time, subSeconds, offset] of INSTANTS) {
    instant ??= instantOf(
      await tiff.text(exif.get(time)),
      await tiff.text(exif.get(offset)),
      await tiff.text(exif.get(subSeconds)),
    );
  }
  const xmp = main.get(XMP);
  return {
    ...(xmp && readXmp(await at(xmp.offset, Math.min(xmp.count, MAX_XMP_BYTES)))),
    ...instant,
    ...(await placeIn(tiff, await directory(GPS_DIRECTORY))),
    cameraMake: (await tiff.text(main.get(MAKE))) ?? null,
    cameraModel: (await tiff.text(main.get(MODEL))) ?? null,
  };
}

/** Degrees and minutes with a direction: `51,30.25N`, `51,30,15N`. XMP, part 2, GPSCoordinate. */
function xmpDegrees(text: string | undefined, negative: string, positive: string): number | null {
  const [, parts, direction] = /^\s*([\d.]{1,20}(?:,[\d.]{1,20}){0,2})([NSEW])\s*$/.exec(text ?? '') ?? [];
  return parts === undefined ? null : degrees(parts.split(',').map(Number), direction, negative, positive);
}

/** When and where, as a packet of XMP has it, in an attribute or an element. */
export function readXmp(packet: Buffer): Partial<Shot> {
  const text = packet.toString('utf8', 0, MAX_XMP_BYTES);
  const property = (name: string) => {
    const [, value] = new RegExp(`\\b${name}(?:\\s*=\\s*["']|>)([^"'<]{1,64})["'<]`).exec(text) ?? [];
    return value;
  };
  const [latitude, longitude] = [property('exif:GPSLatitude'), property('exif:GPSLongitude')];
  return {
    ...instantOf(property('exif:DateTimeOriginal') ?? property('photoshop:DateCreated')),
    ...((latitude ?? longitude) !== undefined &&
      placeOf(xmpDegrees(latitude, 'S', 'N'), xmpDegrees(longitude, 'W', 'E'))),
  };
}
