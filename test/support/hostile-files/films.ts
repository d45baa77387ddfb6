/** An EBML element with a size field of one byte. RFC 8794 */
const element = (id: string, content: Buffer): Buffer =>
  Buffer.concat([Buffer.from(id, 'hex'), Buffer.from([0x80 | content.length]), content]);

const EBML = element('1a45dfa3', element('4282', Buffer.from('matroska')));
/** A segment of unknown size. */
const SEGMENT = Buffer.from('1853806701ffffffffffffff', 'hex');

/** Matroska followed by `sizeBytes` of elements without content: `Void`, clusters, nested segments. */
export const emptyElements = (sizeBytes: number): Buffer =>
  Buffer.concat([EBML, SEGMENT, Buffer.alloc(sizeBytes, Buffer.from('ec80', 'hex'))]);
export const emptyClusters = (sizeBytes: number): Buffer =>
  Buffer.concat([EBML, SEGMENT, Buffer.alloc(sizeBytes, Buffer.from('1f43b67580', 'hex'))]);
export const nestedSegments = (sizeBytes: number): Buffer =>
  Buffer.concat([EBML, Buffer.alloc(sizeBytes, SEGMENT)]);

/** A box of ISO/IEC 14496-12, 4.2, whose declared size may be wrong. */
const box = (type: string, content: Buffer, size = content.length + 8): Buffer => {
  const head = Buffer.alloc(8);
  head.writeUInt32BE(size, 0);
  head.write(type, 4, 'latin1');
  return Buffer.concat([head, content]);
};

const ftyp = (brand = 'isom') => box('ftyp', Buffer.from(`${brand}\0\0\0\0${brand}`, 'latin1'));

/** Boxes nested `depth` levels deep. */
export function nestedBoxes(depth: number): Buffer {
  const heads = Buffer.alloc(8 * depth);
  for (let level = 0; level < depth; level++) {
    heads.writeUInt32BE(8 * (depth - level), 8 * level);
    heads.write(level === 0 ? 'moov' : level % 2 === 0 ? 'udta' : 'trak', 8 * level + 4, 'latin1');
  }
  return Buffer.concat([ftyp(), heads]);
}

/** Boxes that declare size 0, or less than their header: a parser that skips by the size never advances. */
export const boxesOfSize = (size: number, count: number): Buffer =>
  Buffer.concat([ftyp(), box('moov', Buffer.alloc(8 * count, box('trak', Buffer.alloc(0), size)))]);

/** A box with a 64-bit size of 0, by which a parser never advances either. */
export const longBoxOfNothing = (): Buffer =>
  Buffer.concat([ftyp(), box('moov', Buffer.alloc(64), 1), box('mdat', Buffer.alloc(64))]);

/** A file type box with an unknown brand, or with one that breaks out of the text it is written into. */
export const branded = (brand: string): Buffer =>
  Buffer.concat([ftyp(brand), box('mdat', Buffer.alloc(64, 0xfe))]);
