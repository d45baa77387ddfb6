import { type AssetProperties, localDateTimeOf } from '#libs/domain';
import { instantOf } from '../instants.js';
import { type Box, boxAt, boxesIn, contentOf } from '../iso-boxes.js';
import { placeOf, placeOfIso6709 } from '../places.js';
import type { ReadAt } from '../read-at.js';

/** What a film says of itself. */
export type Film = Pick<
  AssetProperties,
  | 'width'
  | 'height'
  | 'durationSeconds'
  | 'takenAt'
  | 'takenAtLocal'
  | 'cameraMake'
  | 'cameraModel'
  | 'hasLocation'
  | 'latitude'
  | 'longitude'
  | 'title'
>;

/** Seconds from 1904, where the time of these files begins, to 1970. */
const EPOCH_1904 = 2_082_844_800;
/** Earlier than any such file: clocks that were not set, and programs that count from 1970. */
export const isPlausible = (created: Date) => created.getTime() >= Date.UTC(1990);

/** The header of a film has its time in UTC and no zone. */
export const utcTime = (takenAt: Date) => ({ takenAt, takenAtLocal: localDateTimeOf(takenAt) });

const MAX_VALUE_BYTES = 1024;
const MAX_KEYS_BYTES = 65_536;

const fixed = (bytes: Buffer, offset: number) => bytes.readInt32BE(offset) / 65_536;

/** Where the fields after the times begin: the times are longer in version 1. */
const hasLongTimes = (bytes: Buffer) => bytes[0] === 1;

/** ISO/IEC 14496-12, 8.2.2 and, for films in fragments, 8.8.2. */
async function timesOf(at: ReadAt, moov: Box): Promise<Partial<Film>> {
  const header = await contentOf(at, await boxAt(at, moov, 'mvhd'), 32);
  const isLong = hasLongTimes(header);
  if (header.length < (isLong ? 32 : 20)) return {};
  const created = isLong ? Number(header.readBigUInt64BE(4)) : header.readUInt32BE(4);
  const scale = header.readUInt32BE(isLong ? 20 : 12);
  const own = isLong ? Number(header.readBigUInt64BE(24)) : header.readUInt32BE(16);
  const fragments = await contentOf(at, await boxAt(at, moov, 'mvex', 'mehd'), 12);
  const inFragments =
    hasLongTimes(fragments) && fragments.length === 12
      ? Number(fragments.readBigUInt64BE(4))
      : fragments.length >= 8
        ? fragments.readUInt32BE(4)
        : 0;
  const isUnknown = own === (isLong ? 2 ** 64 : 2 ** 32 - 1);
  const units = own === 0 || isUnknown ? inFragments : own;
  const takenAt = new Date(1000 * (created - EPOCH_1904));
  return {
    ...(units > 0 && scale > 0 && { durationSeconds: units / scale }),
    ...(isPlausible(takenAt) && utcTime(takenAt)),
  };
}

/** ISO/IEC 14496-12, 8.3.2: the first picture, turned as it is shown. */
async function pictureOf(at: ReadAt, moov: Box): Promise<Partial<Film>> {
  for await (const track of boxesIn(at, moov.start, moov.end)) {
    if (track.type !== 'trak') continue;
    const handler = await contentOf(at, await boxAt(at, track, 'mdia', 'hdlr'), 12);
    if (handler.toString('latin1', 8, 12) !== 'vide') continue;
    const header = await contentOf(at, await boxAt(at, track, 'tkhd'), 96);
    const matrix = hasLongTimes(header) ? 52 : 40;
    if (header.length < matrix + 44) continue;
    const [width, height] = [fixed(header, matrix + 36), fixed(header, matrix + 40)].map(Math.round);
    if (!width || !height) continue;
    const isTurned = fixed(header, matrix) === 0 && fixed(header, matrix + 4) !== 0;
    return isTurned ? { width: height, height: width } : { width, height };
  }
  return {};
}

/** QuickTime's list of values by name; QuickTime File Format, "Metadata". */
async function namedValues(at: ReadAt, meta: Box | null): Promise<Map<string, string>> {
  const values = new Map<string, string>();
  if (meta === null) return values;
  // QuickTime's is a plain box; where it is a full one, as ISO has it, a version and flags come first.
  const isFull = (await at(meta.start, 4)).equals(Buffer.alloc(4));
  const body = isFull ? { ...meta, start: meta.start + 4 } : meta;
  const keys = await contentOf(at, await boxAt(at, body, 'keys'), MAX_KEYS_BYTES);
  const names: string[] = [];
  for (let offset = 8; offset + 8 <= keys.length;) {
    const size = keys.readUInt32BE(offset);
    if (size < 8) break;
    names.push(keys.toString('latin1', offset + 8, offset + size));
    offset += size;
  }
  const list = names.length > 0 && (await boxAt(at, body, 'ilst'));
  if (!list) return values;
  for await (const item of boxesIn(at, list.start, list.end)) {
    const name = names[Buffer.from(item.type, 'latin1').readUInt32BE(0) - 1];
    const data = await contentOf(at, await boxAt(at, item, 'data'), MAX_VALUE_BYTES);
    if (name !== undefined) values.set(name, data.toString('utf8', 8));
  }
  return values;
}

async function namedBy(at: ReadAt, moov: Box): Promise<Partial<Film>> {
  // Cameras write them beside the tracks, other programs among the user's data.
  const values = new Map([
    ...(await namedValues(at, await boxAt(at, moov, 'udta', 'meta'))),
    ...(await namedValues(at, await boxAt(at, moov, 'meta'))),
  ]);
  const quicktime = (name: string) => values.get(`com.apple.quicktime.${name}`);
  const place = quicktime('location.ISO6709');
  const [title, cameraMake, cameraModel] = [quicktime('title'), quicktime('make'), quicktime('model')];
  return {
    ...(title !== undefined && { title }),
    ...(cameraMake !== undefined && { cameraMake }),
    ...(cameraModel !== undefined && { cameraModel }),
    ...instantOf(quicktime('creationdate')),
    ...(place !== undefined && placeOfIso6709(place)),
  };
}

/** As music players have it, and as QuickTime did. */
async function titleIn(at: ReadAt, moov: Box): Promise<Partial<Film>> {
  const plain = await contentOf(at, await boxAt(at, moov, 'udta', '\xa9nam'), MAX_VALUE_BYTES);
  // Length and language of the text.
  if (plain.length > 4) return { title: plain.toString('utf8', 4, 4 + plain.readUInt16BE(0)) };
  const meta = await boxAt(at, moov, 'udta', 'meta');
  const data = meta && (await boxAt(at, { ...meta, start: meta.start + 4 }, 'ilst', '\xa9nam', 'data'));
  const title = await contentOf(at, data, MAX_VALUE_BYTES);
  // A type and a language come first.
  return title.length > 8 ? { title: title.toString('utf8', 8) } : {};
}

/** Where cameras and telephones write the place: QuickTime's ©xyz, and loci of 3GPP TS 26.244, 8.10. */
async function placeIn(at: ReadAt, moov: Box): Promise<Partial<Film>> {
  const xyz = await contentOf(at, await boxAt(at, moov, 'udta', '\xa9xyz'), MAX_VALUE_BYTES);
  if (xyz.length > 4) return placeOfIso6709(xyz.toString('latin1', 4));
  const loci = await contentOf(at, await boxAt(at, moov, 'udta', 'loci'), MAX_VALUE_BYTES);
  if (loci.length === 0) return {};
  // Version, flags, language, a name that ends with a zero, a role.
  const coordinates = loci.subarray(loci.indexOf(0, 6) + 2);
  return coordinates.length < 8 ? placeOf(null, null) : placeOf(fixed(coordinates, 4), fixed(coordinates, 0));
}

/** Reads an MP4, a QuickTime or a 3GPP file by its boxes: some hundred bytes of it, however large it is. */
export async function readMp4(at: ReadAt, sizeBytes: number): Promise<Partial<Film>> {
  const moov = await boxAt(at, { type: '', start: 0, end: sizeBytes }, 'moov');
  if (moov === null) return {};
  return {
    ...(await timesOf(at, moov)),
    ...(await pictureOf(at, moov)),
    ...(await placeIn(at, moov)),
    ...(await titleIn(at, moov)),
    ...(await namedBy(at, moov)),
  };
}
