/** Small files of many formats, built byte by byte, so that tests know their exact content. */
import { deflateSync } from 'node:zlib';
import { chunk } from '../../e2e/samples.js';

const u16 = (value: number) => Buffer.from([value >>> 8, value & 255]);
export const u32 = (value: number) => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
};
const u64 = (value: number) => {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(BigInt(value));
  return bytes;
};
const le16 = (value: number) => u16(value).swap16();
const le32 = (value: number) => u32(value).swap32();
const latin1 = (text: string) => Buffer.from(text, 'latin1');

// EXIF and TIFF

/** Tag number and value: a string, fractions as pairs of numerator and denominator, or an integer. */
type TiffField = readonly [tag: number, value: string | readonly number[] | number];

/** A directory at `offset`, followed by its values; `next` is the offset of the next directory. */
function directory(fields: readonly TiffField[], offset: number, next = 0): Buffer {
  const entries: Buffer[] = [];
  const values: Buffer[] = [];
  let end = offset + 2 + 12 * fields.length + 4;
  for (const [tag, value] of fields) {
    if (typeof value === 'number') {
      entries.push(u16(tag), u16(4), u32(1), u32(value));
      continue;
    }
    const bytes =
      typeof value === 'string' ? latin1(`${value}\0`) : Buffer.concat(value.map((part) => u32(part)));
    const count = typeof value === 'string' ? bytes.length : value.length / 2;
    entries.push(u16(tag), u16(typeof value === 'string' ? 2 : 5), u32(count));
    if (bytes.length <= 4) entries.push(bytes, Buffer.alloc(4 - bytes.length));
    else {
      entries.push(u32(end));
      values.push(bytes);
      end += bytes.length;
    }
  }
  return Buffer.concat([u16(fields.length), ...entries, u32(next), ...values]);
}

export interface Exif {
  readonly main?: readonly TiffField[];
  readonly exif?: readonly TiffField[];
  readonly gps?: readonly TiffField[];
}

/** An EXIF block: a big-endian TIFF without an image. */
export function exifBlock({ main = [], exif, gps }: Exif): Buffer {
  const head = Buffer.concat([latin1('MM'), u16(42), u32(8)]);
  const build = (exifAt: number, gpsAt: number) =>
    directory(
      [...main, ...(exif ? [[0x8769, exifAt] as const] : []), ...(gps ? [[0x8825, gpsAt] as const] : [])],
      8,
    );
  const exifAt = 8 + build(0, 0).length;
  const exifDirectory = exif ? directory(exif, exifAt) : Buffer.alloc(0);
  const gpsAt = exifAt + exifDirectory.length;
  const gpsDirectory = gps ? directory(gps, gpsAt) : Buffer.alloc(0);
  return Buffer.concat([head, build(exifAt, gpsAt), exifDirectory, gpsDirectory]);
}

/** A TIFF with integers by tag; its pixel data follow the header, its directory is at the end. */
export function tiff(fields: Readonly<Record<number, readonly number[]>>, data: Buffer): Buffer {
  const tags = Object.entries(fields);
  const start = 8 + data.length;
  const values: Buffer[] = [];
  let end = start + 2 + 12 * tags.length + 4;
  const entries = tags.map(([tag, numbers]) => {
    const bytes = Buffer.concat(numbers.map(le32));
    const valueOrOffset = numbers.length === 1 ? bytes : le32(end);
    if (numbers.length > 1) {
      values.push(bytes);
      end += bytes.length;
    }
    return Buffer.concat([le16(Number(tag)), le16(4), le32(numbers.length), valueOrOffset]);
  });
  return Buffer.concat([
    latin1('II'),
    ...[le16(42), le32(start), data, le16(tags.length)],
    ...[...entries, le32(0), ...values],
  ]);
}

/** Inserts a segment right after the start marker of a JPEG. */
const withSegment = (jpeg: Buffer, marker: number, content: Buffer) =>
  Buffer.concat([
    jpeg.subarray(0, 2),
    Buffer.from([0xff, marker]),
    u16(content.length + 2),
    content,
    jpeg.subarray(2),
  ]);

export const withExif = (jpeg: Buffer, exif: Exif) =>
  withSegment(jpeg, 0xe1, Buffer.concat([latin1('Exif\0\0'), exifBlock(exif)]));

export const withXmp = (jpeg: Buffer, packet: string) =>
  withSegment(jpeg, 0xe1, Buffer.concat([latin1('http://ns.adobe.com/xap/1.0/\0'), Buffer.from(packet)]));

// Image headers with little or no data

const PNG_SIGNATURE = Buffer.from('89504e470d0a1a0a', 'hex');

export const pngHead = (width: number, height: number, frames?: number) =>
  Buffer.concat([
    PNG_SIGNATURE,
    chunk('IHDR', Buffer.concat([u32(width), u32(height), Buffer.from([8, 2, 0, 0, 0])])),
    ...(frames === undefined ? [] : [chunk('acTL', Buffer.concat([u32(frames), u32(0)]))]),
    chunk('IDAT', Buffer.alloc(0)),
    chunk('IEND', Buffer.alloc(0)),
  ]);

type Chunk = readonly [type: string, content: Buffer];

/** A PNG of one grey pixel, with chunks before and after its data. */
export const pngWith = (before: readonly Chunk[], after: readonly Chunk[]) =>
  Buffer.concat([
    PNG_SIGNATURE,
    chunk('IHDR', Buffer.concat([u32(1), u32(1), Buffer.from([8, 0, 0, 0, 0])])),
    ...before.map(([type, content]) => chunk(type, content)),
    chunk('IDAT', deflateSync(Buffer.from([0, 128]))),
    ...after.map(([type, content]) => chunk(type, content)),
    chunk('IEND', Buffer.alloc(0)),
  ]);

/** A Photoshop document without pixels and with at most one resource. */
export const psd = (width: number, height: number, resource?: readonly [id: number, content: Buffer]) => {
  const resources = resource
    ? Buffer.concat([latin1('8BIM'), u16(resource[0]), u16(0), u32(resource[1].length), resource[1]])
    : Buffer.alloc(0);
  const head = Buffer.concat([latin1('8BPS'), u16(1), Buffer.alloc(6), u16(3), u32(height), u32(width)]);
  return Buffer.concat([head, u16(8), u16(3), u32(0), u32(resources.length), resources]);
};

/** A raw photograph without pixels: a directory that points to a subdirectory. */
export const rawHead = (main: readonly TiffField[], sub: readonly TiffField[]) => {
  const build = (at: number) => directory([...main, [330, at]], 8);
  const at = 8 + build(0).length;
  return Buffer.concat([latin1('MM'), u16(42), u32(8), build(at), directory(sub, at)]);
};

/** A JPEG that declares any size and has the data of a small one. */
export function resizedJpeg(jpeg: Buffer, width: number, height: number): Buffer {
  const bytes = Buffer.from(jpeg);
  const frame = bytes.indexOf(Buffer.from([0xff, 0xc0]));
  u16(height).copy(bytes, frame + 5);
  u16(width).copy(bytes, frame + 7);
  return bytes;
}

/** A GIF with `frames` frames of one pixel on a canvas of any size. */
export const gif = (width: number, height: number, frames: number) =>
  Buffer.concat([
    latin1('GIF89a'),
    le16(width),
    le16(height),
    Buffer.from('800000000000ffffff', 'hex'),
    ...Array.from({ length: frames }, () =>
      Buffer.from('21f9040000000000' + '2c00000000010001000002024401' + '00', 'hex'),
    ),
    Buffer.from([0x3b]),
  ]);

export const webpHead = (width: number, height: number) => {
  const size = (side: number) => le32(side - 1).subarray(0, 3);
  const chunk = Buffer.concat([latin1('VP8X'), le32(10), Buffer.alloc(4), size(width), size(height)]);
  return Buffer.concat([latin1('RIFF'), le32(4 + chunk.length), latin1('WEBP'), chunk]);
};

export const tiffHead = (width: number, height: number) =>
  exifBlock({ main: [[256, width] as const, [257, height] as const, [0x10f, 'A camera']] });

export const bmp = (width: number, height: number) =>
  Buffer.concat([
    latin1('BM'),
    le32(54),
    Buffer.alloc(4),
    le32(54),
    le32(40),
    le32(width),
    le32(height >>> 0),
    Buffer.alloc(28),
  ]);

/** An icon file that declares these sizes; 0 stands for 256. */
export const ico = (...sides: readonly (readonly [number, number])[]) =>
  Buffer.concat([
    Buffer.from([0, 0, 1, 0]),
    le16(sides.length),
    ...sides.map(([width, height]) => Buffer.concat([Buffer.from([width, height]), Buffer.alloc(14)])),
  ]);

// ISO base media

export const box = (type: string, ...content: readonly Buffer[]) => {
  const body = Buffer.concat(content);
  return Buffer.concat([u32(8 + body.length), latin1(type), body]);
};

const fullBox = (type: string, ...content: readonly Buffer[]) => box(type, Buffer.alloc(4), ...content);

/** A HEIF that declares only the sizes of its images. */
export const heifHead = (brand: string, ...sizes: readonly (readonly [number, number])[]) => {
  const properties = sizes.map(([width, height]) => fullBox('ispe', u32(width), u32(height)));
  return Buffer.concat([
    box('ftyp', latin1(brand), u32(0), latin1(`mif1${brand}`)),
    fullBox(
      'meta',
      fullBox('hdlr', u32(0), latin1('pict'), Buffer.alloc(13)),
      box('iprp', box('ipco', ...properties)),
    ),
  ]);
};

/** A HEIF that contains only an EXIF item, stored in `mdat`, or in `idat` if `isInside`. */
export function heifWithExif(brand: string, block: Buffer, isInside: boolean): Buffer {
  const item = Buffer.concat([u32(6), latin1('Exif\0\0'), block]);
  const info = box('infe', Buffer.from([2, 0, 0, 0]), u16(7), u16(0), latin1('Exif\0'));
  const build = (offset: number) => {
    // Version 1: offsets and lengths of 4 bytes, a method, one extent.
    const location = Buffer.concat([
      u16(7),
      u16(isInside ? 1 : 0),
      u16(0),
      u16(1),
      u32(offset),
      u32(item.length),
    ]);
    return Buffer.concat([
      box('ftyp', latin1(brand), u32(0), latin1(`mif1${brand}`)),
      fullBox(
        'meta',
        fullBox('hdlr', u32(0), latin1('pict'), Buffer.alloc(13)),
        fullBox('iinf', u16(1), info),
        box('iloc', Buffer.from([1, 0, 0, 0, 0x44, 0]), u16(1), location),
        ...(isInside ? [box('idat', item)] : []),
      ),
    ]);
  };
  return isInside ? build(0) : Buffer.concat([build(build(0).length + 8), box('mdat', item)]);
}

const jxlSignature = box('JXL ', Buffer.from('0d0a870a', 'hex'));

/** A JPEG XL code stream: its marker, then fields of `bits` bits, least significant bit first. */
const jxlStream = (...fields: readonly (readonly [value: number, bits: number])[]) => {
  const bytes = Buffer.alloc(16);
  bytes.writeUInt16BE(0xff0a);
  let at = 16;
  for (const [value, bits] of fields) {
    for (let bit = 0; bit < bits; bit++, at++) bytes[at >> 3]! |= ((value >> bit) & 1) << (at & 7);
  }
  return bytes;
};

/** A JPEG XL container that declares 24 by 16 pixels, without their data, and has other boxes. */
export const jxlWith = (...more: readonly Buffer[]) =>
  Buffer.concat([
    jxlSignature,
    box('ftyp', latin1('jxl '), u32(0), latin1('jxl ')),
    ...more,
    // Small size; height 8 * (1 + 1); width to height as 3 to 2; all defaults.
    box('jxlc', jxlStream([1, 1], [1, 5], [4, 3], [1, 1])),
  ]);

/** The code stream of an image that is displayed rotated by 90 degrees. */
export const jxlTurned = (width: number, height: number) =>
  jxlStream([0, 1], [0, 2], [height - 1, 9], [0, 3], [0, 2], [width - 1, 9], [0, 1], [1, 1], [5, 3]);

/** A JPEG 2000 file that declares 30 by 20 pixels, without their data. */
export const jp2With = (...more: readonly Buffer[]) =>
  Buffer.concat([
    box('jP  ', Buffer.from('0d0a870a', 'hex')),
    box('ftyp', latin1('jp2 '), u32(0), latin1('jp2 ')),
    box('jp2h', box('ihdr', u32(20), u32(30), u16(3), Buffer.from([7, 7, 0, 0]))),
    ...more,
  ]);

/** A CR3 that contains only its directories. */
export const cr3 = (directories: Readonly<Record<string, Exif>>) =>
  Buffer.concat([
    box('ftyp', latin1('crx '), u32(1), latin1('crx isom')),
    box(
      'moov',
      box(
        'uuid',
        Buffer.from('85c0b687820f11e08111f4ce462b6a48', 'hex'),
        ...Object.entries(directories).map(([name, exif]) => box(name, exifBlock(exif))),
      ),
    ),
  ]);

/** An AVIF with the brand of animated files, the size of its still image and invalid data. */
export const animatedAvif = (width: number, height: number) =>
  Buffer.concat([heifHead('avis', [width, height]), box('mdat', Buffer.alloc(400, 'x'))]);

/** An animated AVIF without a still image. */
export const avifTrack = (width: number, height: number) => {
  const tkhd = fullBox('tkhd', Buffer.alloc(72), u32(width << 16), u32(height << 16));
  return Buffer.concat([
    box('ftyp', latin1('avis'), u32(0), latin1('avisavif')),
    box('moov', box('trak', tkhd)),
    box('mdat', Buffer.alloc(400, 'x')),
  ]);
};

interface Mp4 {
  readonly seconds?: number;
  /** Seconds since 1904. */
  readonly created?: number;
  readonly size?: readonly [number, number];
  readonly isTurned?: boolean;
  /** Handler type of the track. */
  readonly handler?: string;
  readonly brand?: string;
  /** Boxes beside the tracks. */
  readonly more?: readonly Buffer[];
}

const TURNED = [0, 1, 0, -1, 0, 0, 0, 0, 0x4000];
const STRAIGHT = [1, 0, 0, 0, 1, 0, 0, 0, 0x4000];

export function mp4({
  seconds = 0,
  created = 0,
  size = [0, 0],
  isTurned = false,
  handler = 'vide',
  brand = 'isom',
  more = [],
}: Mp4): Buffer {
  const matrix = Buffer.concat((isTurned ? TURNED : STRAIGHT).map((value) => u32((value * 65_536) >>> 0)));
  const mvhd = fullBox('mvhd', u32(created), u32(0), u32(1000), u32(seconds * 1000), Buffer.alloc(80));
  const tkhd = fullBox(
    'tkhd',
    Buffer.alloc(20),
    Buffer.alloc(16),
    matrix,
    ...size.map((side) => u32(side << 16)),
  );
  const hdlr = fullBox('hdlr', u32(0), latin1(handler), Buffer.alloc(13));
  return Buffer.concat([
    box('ftyp', latin1(brand), u32(0), latin1(`${brand}mp42`)),
    box('moov', mvhd, box('trak', tkhd, box('mdia', hdlr)), ...more),
  ]);
}

export const xyz = (text: string) => box('udta', box('\xa9xyz', u16(text.length), u16(0), latin1(text)));

export const loci = (longitude: number, latitude: number) =>
  box(
    'udta',
    fullBox(
      'loci',
      u16(0),
      latin1('here\0'),
      Buffer.alloc(1),
      ...[longitude, latitude, 0].map((value) => u32(Math.round(value * 65_536) >>> 0)),
    ),
  );

/** QuickTime metadata: values by key. */
export function named(values: Readonly<Record<string, string>>): Buffer {
  const entries = Object.entries(values);
  const keys = entries.map(([name]) => box('mdta', latin1(`com.apple.quicktime.${name}`)));
  const items = entries.map(([, value], index) =>
    box(u32(index + 1).toString('latin1'), box('data', u32(1), u32(0), Buffer.from(value))),
  );
  return box(
    'meta',
    fullBox('hdlr', u32(0), latin1('mdta'), Buffer.alloc(13)),
    fullBox('keys', u32(keys.length), ...keys),
    box('ilst', ...items),
  );
}

export const titled = (title: string) =>
  box('udta', fullBox('meta', box('ilst', box('\xa9nam', box('data', u32(1), u32(0), Buffer.from(title))))));

// Matroska

const element = (id: string, ...content: readonly Buffer[]) => {
  const body = Buffer.concat(content);
  return Buffer.concat([
    Buffer.from(id, 'hex'),
    Buffer.concat([Buffer.from([0x10]), u32(body.length).subarray(1)]),
    body,
  ]);
};

export function matroska(
  type: 'matroska' | 'webm',
  seconds: number,
  width: number,
  height: number,
  title: string,
) {
  const duration = Buffer.alloc(8);
  duration.writeDoubleBE(seconds * 1000);
  const info = element(
    '1549a966',
    element('2ad7b1', u32(1_000_000)),
    element('4489', duration),
    element('7ba9', Buffer.from(title)),
  );
  const video = element('e0', element('b0', u16(width)), element('ba', u16(height)));
  const track = element(
    'ae',
    element('d7', Buffer.from([1])),
    element('83', Buffer.from([1])),
    element('86', latin1('V_VP9')),
    video,
  );
  return Buffer.concat([
    element('1a45dfa3', element('4282', latin1(type))),
    element('18538067', info, element('1654ae6b', track)),
  ]);
}

// Audio

export const wav = (seconds: number, rate = 8000) => {
  const data = Buffer.alloc(seconds * rate * 2);
  const format = Buffer.concat([le16(1), le16(1), le32(rate), le32(rate * 2), le16(2), le16(16)]);
  return Buffer.concat([
    latin1('RIFF'),
    le32(36 + data.length),
    latin1('WAVEfmt '),
    le32(16),
    format,
    latin1('data'),
    le32(data.length),
    data,
  ]);
};

export interface Tags {
  readonly title: string;
  readonly artist: string;
  readonly album: string;
}

/** iTunes tags. */
export const songTags = ({ title, artist, album }: Tags) => {
  const item = (name: string, text: string) => box(name, box('data', u32(1), u32(0), Buffer.from(text)));
  const list = box('ilst', item('\xa9nam', title), item('\xa9ART', artist), item('\xa9alb', album));
  return box('udta', fullBox('meta', list));
};

/** 3GPP tags, with the title in UTF-16. */
export const tags3gpp = ({ title, artist, album }: Tags) => {
  const wide = Buffer.from(`\ufeff${title}\0`, 'utf16le').swap16();
  const text = (name: string, bytes: Buffer) => fullBox(name, u16(0x15c7), bytes);
  return box(
    'udta',
    text('titl', wide),
    text('perf', Buffer.from(`${artist}\0`)),
    text('albm', Buffer.from(`${album}\0`)),
  );
};

/** Frames of 20 ms. */
export const amr = (frames: number, isWide = false) =>
  Buffer.concat([
    latin1(isWide ? '#!AMR-WB\n' : '#!AMR\n'),
    ...Array.from({ length: frames }, () =>
      Buffer.concat([Buffer.from([0x3c]), Buffer.alloc(isWide ? 58 : 31)]),
    ),
  ]);

const vorbisComment = ({ title, artist, album }: Tags) => {
  const texts = ['test', `TITLE=${title}`, `ARTIST=${artist}`, `ALBUM=${album}`].map((text) => {
    const bytes = Buffer.from(text);
    return Buffer.concat([le32(bytes.length), bytes]);
  });
  return Buffer.concat([texts[0]!, le32(3), ...texts.slice(1)]);
};

export const flac = (seconds: number, tags: Tags) => {
  const samples = Buffer.alloc(8);
  // 44100 Hz, 2 channels, 16 bits, and the number of samples.
  samples.writeBigUInt64BE((44_100n << 44n) | (1n << 41n) | (15n << 36n) | BigInt(44_100 * seconds));
  const info = Buffer.concat([u16(4096), u16(4096), Buffer.alloc(6), samples, Buffer.alloc(16)]);
  const comment = vorbisComment(tags);
  return Buffer.concat([
    latin1('fLaC'),
    Buffer.from([0]),
    u32(info.length).subarray(1),
    info,
    Buffer.from([0x84]),
    u32(comment.length).subarray(1),
    comment,
  ]);
};

const oggPage = (flags: number, samples: number, index: number, packet: Buffer) => {
  const lacing = [...Array.from({ length: Math.floor(packet.length / 255) }, () => 255), packet.length % 255];
  return Buffer.concat([
    latin1('OggS'),
    Buffer.from([0, flags]),
    u64(samples).swap64(),
    le32(7),
    le32(index),
    le32(0),
    Buffer.from([lacing.length, ...lacing]),
    packet,
  ]);
};

export const ogg = (seconds: number, tags: Tags) => {
  const head = Buffer.concat([
    latin1('\x01vorbis'),
    le32(0),
    Buffer.from([2]),
    le32(44_100),
    le32(0),
    le32(128_000),
    le32(0),
    Buffer.from([0xb8, 1]),
  ]);
  const comment = Buffer.concat([latin1('\x03vorbis'), vorbisComment(tags), Buffer.from([1])]);
  return Buffer.concat([
    oggPage(2, 0, 0, head),
    oggPage(0, 0, 1, comment),
    oggPage(4, 44_100 * seconds, 2, Buffer.alloc(100)),
  ]);
};

/** 128 kbit/s at 44100 Hz: 1152 samples in 417 bytes a frame. */
export const mp3 = (frames: number, { title, artist, album }: Tags, gapBytes = 0) => {
  const text = (name: string, value: string) => {
    const bytes = Buffer.concat([Buffer.from([0]), latin1(value)]);
    return Buffer.concat([latin1(name), u32(bytes.length), u16(0), bytes]);
  };
  const body = Buffer.concat([text('TIT2', title), text('TPE1', artist), text('TALB', album)]);
  const frame = Buffer.concat([Buffer.from('fffb9000', 'hex'), Buffer.alloc(413)]);
  return Buffer.concat([
    latin1('ID3\x03\0\0'),
    Buffer.from([0, 0, body.length >> 7, body.length & 127]),
    body,
    Buffer.alloc(gapBytes, 0x20),
    ...Array.from({ length: frames }, () => frame),
  ]);
};

// Documents

/** A PDF with `pages` pages; `trailer` adds entries to the dictionary of the trailer. */
export function pdf(pages: number, title: string, trailer = ''): Buffer {
  const kids = Array.from({ length: pages }, (_, page) => `${page + 4} 0 R`).join(' ');
  const objects = [
    '<< /Type /Catalog /Pages 2 0 R >>',
    `<< /Type /Pages /Kids [${kids}] /Count ${pages} >>`,
    `<< /Title (${title}) >>`,
    ...Array.from({ length: pages }, () => '<< /Type /Page /Parent 2 0 R /MediaBox [0 0 9 9] >>'),
  ];
  let text = '%PDF-1.4\n';
  const offsets = objects.map((object, index) => {
    const offset = text.length;
    text += `${index + 1} 0 obj\n${object}\nendobj\n`;
    return `${String(offset).padStart(10, '0')} 00000 n \n`;
  });
  const size = objects.length + 1;
  const table = `xref\n0 ${size}\n0000000000 65535 f \n${offsets.join('')}`;
  return latin1(
    `${text}${table}trailer << /Size ${size} /Root 1 0 R /Info 3 0 R ${trailer} >>\nstartxref\n${text.length}\n%%EOF\n`,
  );
}
