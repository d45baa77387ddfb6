import type { AssetProperties } from '#libs/domain';
import { instantOf, instantOfUtc } from '../instants.js';
import { afterVersion, boxAt, boxesIn, contentOf, type Span, wholeFile } from '../iso-boxes.js';
import { parseIso6709 } from '../iso6709.js';
import { affordable, type ReadAt, windowed } from '../read-at.js';
import type { Tags, TagSources } from '../tags.js';

/** Properties of the tracks of a video, and its tags by source. */
export interface VideoInfo extends Partial<Pick<AssetProperties, 'width' | 'height' | 'durationSeconds'>> {
  readonly sources: TagSources;
}

/** Seconds from 1904, the epoch of these files, to 1970. */
const EPOCH_1904 = 2_082_844_800;
/** Earlier times come from clocks that were not set, and from programs that count from 1970. */
const isPlausible = (created: Date) => created.getTime() >= Date.UTC(1990);

/** Converts the creation time of a movie header, which is in UTC; null where the clock was not set. */
export const creationTime = (created: Date) => (isPlausible(created) ? instantOfUtc(created) : null);

const MAX_VALUE_BYTES = 1024;
const MAX_KEYS_BYTES = 65_536;

const fixed = (bytes: Buffer, offset: number) => bytes.readInt32BE(offset) / 65_536;

/** Version 1 has 64-bit times, which moves the fields after them. */
const hasLongTimes = (bytes: Buffer) => bytes[0] === 1;

/** Reads creation time and duration. ISO/IEC 14496-12, 8.2.2 and, for fragmented files, 8.8.2. */
async function timesOf(at: ReadAt, moov: Span) {
  const header = await contentOf(at, await boxAt(at, moov, 'mvhd'), 32);
  const isLong = hasLongTimes(header);
  if (header.length < (isLong ? 32 : 20)) return { created: null };
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
  return {
    ...(units > 0 && scale > 0 && { durationSeconds: units / scale }),
    created: creationTime(new Date(1000 * (created - EPOCH_1904))),
  };
}

/** Reads the size of the first video track, in its displayed orientation. ISO/IEC 14496-12, 8.3.2. */
async function displayedSize(at: ReadAt, moov: Span): Promise<Pick<VideoInfo, 'width' | 'height'>> {
  for await (const track of boxesIn(at, moov)) {
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

/** Reads QuickTime metadata by key. QuickTime File Format, "Metadata". */
async function namedValues(at: ReadAt, meta: Span | null): Promise<Map<string, string>> {
  const values = new Map<string, string>();
  if (meta === null) return values;
  // QuickTime writes a plain box, ISO a full box, in which a version and flags come first.
  const isFull = (await at(meta.start, 4)).equals(Buffer.alloc(4));
  const body = isFull ? afterVersion(meta) : meta;
  const keys = await contentOf(at, await boxAt(at, body, 'keys'), MAX_KEYS_BYTES);
  const names: string[] = [];
  for (let offset = 8; offset + 8 <= keys.length;) {
    const size = keys.readUInt32BE(offset);
    if (size < 8) break;
    names.push(keys.toString('latin1', offset + 8, offset + size));
    offset += size;
  }
  const list = names.length > 0 ? await boxAt(at, body, 'ilst') : null;
  for await (const item of boxesIn(at, list)) {
    const name = names[Buffer.from(item.type, 'latin1').readUInt32BE(0) - 1];
    const data = await contentOf(at, await boxAt(at, item, 'data'), MAX_VALUE_BYTES);
    if (name !== undefined) values.set(name, data.toString('utf8', 8));
  }
  return values;
}

const quicktimeTags = (values: ReadonlyMap<string, string>): Tags => {
  const named = (name: string) => values.get(`com.apple.quicktime.${name}`);
  return {
    taken: instantOf(named('creationdate')),
    place: parseIso6709(named('location.ISO6709')),
    cameraMake: named('make'),
    cameraModel: named('model'),
    title: named('title'),
    artist: named('artist'),
    album: named('album'),
  };
};

/** Reads an iTunes item list, as music players write it. */
async function itemList(at: ReadAt, list: Span | null): Promise<Tags> {
  const values = new Map<string, string>();
  for await (const item of boxesIn(at, list)) {
    if (!item.type.startsWith('\xa9') && item.type !== 'aART') continue;
    const data = await contentOf(at, await boxAt(at, item, 'data'), MAX_VALUE_BYTES);
    // Each value follows a type and a language.
    if (data.length > 8 && !values.has(item.type)) values.set(item.type, data.toString('utf8', 8));
  }
  return {
    created: instantOf(values.get('\xa9day')),
    title: values.get('\xa9nam'),
    artist: values.get('\xa9ART') ?? values.get('aART'),
    album: values.get('\xa9alb'),
  };
}

/** Decodes QuickTime user data: the text follows its length and a language. */
function plainText(bytes: Buffer): string | undefined {
  const length = bytes.length > 4 ? bytes.readUInt16BE(0) : 0;
  return length === 0 ? undefined : bytes.toString('utf8', 4, 4 + length);
}

/** Decodes 3GPP text after version, flags and language, possibly in UTF-16. 3GPP TS 26.244, 8.2. */
function text3gpp(bytes: Buffer): string | undefined {
  const text = bytes.subarray(6);
  if (text[0] === 0xfe && text[1] === 0xff) {
    const whole = text.subarray(2, 2 * Math.floor(text.length / 2));
    return Buffer.from(whole)
      .swap16()
      .toString('utf16le')
      .replace(/\0[^]*$/, '');
  }
  const end = text.indexOf(0);
  return text.length === 0 ? undefined : text.toString('utf8', 0, end < 0 ? text.length : end);
}

/** Decodes a 3GPP location after version, flags, language, a zero-terminated name and a role. 3GPP TS 26.244, 8.10. */
function place3gpp(bytes: Buffer) {
  const name = bytes.indexOf(0, 6);
  const coordinates = bytes.subarray(name + 2);
  if (name < 0 || coordinates.length < 8) return null;
  return { longitude: fixed(coordinates, 0), latitude: fixed(coordinates, 4) };
}

/** Reads the tags in the user data, of QuickTime and of 3GPP. */
async function userData(at: ReadAt, udta: Span | null): Promise<Tags> {
  const values = new Map<string, Buffer>();
  for await (const box of boxesIn(at, udta)) {
    if (!/^(\xa9...|titl|perf|albm|loci)$/.test(box.type) || values.has(box.type)) continue;
    values.set(box.type, await contentOf(at, box, MAX_VALUE_BYTES));
  }
  const bytes = (name: string) => values.get(name) ?? Buffer.alloc(0);
  const text = (quicktime: string, mobile: string) =>
    plainText(bytes(`\xa9${quicktime}`)) ?? text3gpp(bytes(mobile));
  return {
    created: instantOf(plainText(bytes('\xa9day'))),
    place: parseIso6709(plainText(bytes('\xa9xyz'))) ?? place3gpp(bytes('loci')),
    cameraMake: plainText(bytes('\xa9mak')),
    cameraModel: plainText(bytes('\xa9mod')),
    title: text('nam', 'titl'),
    artist: text('ART', 'perf'),
    album: text('alb', 'albm'),
  };
}

/** Reads a few hundred bytes, whatever the size of the file. */
async function readBoxes(at: ReadAt, sizeBytes: number): Promise<VideoInfo> {
  const moov = await boxAt(at, wholeFile(sizeBytes), 'moov');
  if (moov === null) return { sources: {} };
  const { created, ...length } = await timesOf(at, moov);
  const udta = await boxAt(at, moov, 'udta');
  const userMeta = await boxAt(at, udta, 'meta');
  // Cameras write the keys beside the tracks, other programs inside the user data.
  const named = new Map([
    ...(await namedValues(at, userMeta)),
    ...(await namedValues(at, await boxAt(at, moov, 'meta'))),
  ]);
  const list = await boxAt(at, afterVersion(userMeta), 'ilst');
  return {
    ...length,
    ...(await displayedSize(at, moov)),
    sources: {
      header: { created },
      keys: quicktimeTags(named),
      ilst: await itemList(at, list),
      udta: await userData(at, udta),
    },
  };
}

/** Ordinary files need hundredths of a second. */
const MAX_PROCESSOR_SECONDS = 2;

/** Reads duration, size and tags of an MP4, QuickTime or 3GPP file; no properties if its boxes are unreadable. */
export async function readMp4(file: ReadAt, sizeBytes: number): Promise<VideoInfo> {
  try {
    return await readBoxes(affordable(windowed(file), MAX_PROCESSOR_SECONDS), sizeBytes);
  } catch {
    return { sources: {} };
  }
}
