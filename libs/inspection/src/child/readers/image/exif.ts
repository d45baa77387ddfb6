import { instantOf } from '../instants.js';
import type { ReadAt } from '../read-at.js';
import type { Place, Tags, TagSources } from '../tags.js';
import { readIptc } from './iptc.js';
import { TiffDirectory } from './tiff-fields.js';
import { degrees, MAX_XMP_BYTES, readXmp } from './xmp.js';

/** Field numbers: CIPA DC-008 (Exif 3.0), 4.6. */
const MAKE = 0x010f;
const MODEL = 0x0110;
const XMP = 0x02bc;
const IPTC = 0x83bb;
const EXIF_DIRECTORY = 0x8769;
const GPS_DIRECTORY = 0x8825;
const LATITUDE_REF = 1;
const LATITUDE = 2;
const LONGITUDE_REF = 3;
const LONGITUDE = 4;

/** Fields of a time: date and time, sub-seconds, offset. */
const TAKEN = [0x9003, 0x9291, 0x9011] as const;
const DIGITIZED = [0x9004, 0x9292, 0x9012] as const;

const MAX_IPTC_BYTES = 65_536;

async function placeIn(gps: TiffDirectory): Promise<Place> {
  const coordinate = async (field: number, ref: number, negative: string, positive: string) =>
    degrees(await gps.numbers(field, 3), await gps.text(ref), negative, positive);
  return {
    latitude: await coordinate(LATITUDE, LATITUDE_REF, 'S', 'N'),
    longitude: await coordinate(LONGITUDE, LONGITUDE_REF, 'W', 'E'),
  };
}

/**
 * Reads the tags from the directories with the camera, the times and the location. They belong to one file, or each is a
 * file of its own (CR3).
 */
export async function exifTags(main: TiffDirectory, exif: TiffDirectory, gps: TiffDirectory): Promise<Tags> {
  const time = async ([field, subSeconds, offset]: readonly [number, number, number]) =>
    instantOf(await exif.text(field), await exif.text(offset), await exif.text(subSeconds));
  return {
    taken: await time(TAKEN),
    digitized: await time(DIGITIZED),
    place: await placeIn(gps),
    cameraMake: await main.text(MAKE),
    cameraModel: await main.text(MODEL),
  };
}

/** Reads the tags of a TIFF, a raw photograph or a block of EXIF. */
export async function readExif(at: ReadAt): Promise<TagSources> {
  const main = await TiffDirectory.open(at);
  const xmp = main.fields.get(XMP);
  const iptc = main.fields.get(IPTC);
  return {
    exif: await exifTags(main, await main.directory(EXIF_DIRECTORY), await main.directory(GPS_DIRECTORY)),
    ...(xmp && { xmp: readXmp(await at(xmp.offset, Math.min(xmp.count, MAX_XMP_BYTES))) }),
    ...(iptc && { iptc: readIptc(await at(iptc.offset, MAX_IPTC_BYTES)) }),
  };
}
