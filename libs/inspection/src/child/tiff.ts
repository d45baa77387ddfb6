import { type ByteSource, InvalidArchiveError } from './bounded-file.js';

/*
 * TIFF 6.0, section 2: https://www.itu.int/itudoc/itu-t/com16/tiff-fx/docs/tiff6.pdf. The first directory may be at any
 * offset. Cameras write raw images as TIFF, with a small image in the first directory and the others in `SubIFDs`.
 */

const PLAIN = 'image/tiff';
const ENTRY_BYTES = 12;
const MAX_ENTRIES = 512;
const MAKE_BYTES = 16;
const ASCII = 2;
const TAGS = { newSubfileType: 254, make: 271, subDirectories: 330, dngVersion: 50_706 };
const REDUCED = 1;

const CAMERAS: readonly (readonly [make: string, type: string])[] = [
  ['NIKON', 'image/x-nikon-nef'],
  ['SONY', 'image/x-sony-arw'],
];

function typeOfDirectory(file: ByteSource, offset: number, isBig: boolean): string | null {
  const short = (bytes: Buffer, at: number) => (isBig ? bytes.readUInt16BE(at) : bytes.readUInt16LE(at));
  const long = (bytes: Buffer, at: number) => (isBig ? bytes.readUInt32BE(at) : bytes.readUInt32LE(at));
  const count = short(file.read(offset, 2), 0);
  if (count === 0 || count > MAX_ENTRIES) return null;
  const directory = file.read(offset + 2, count * ENTRY_BYTES);
  const entries = new Map<number, Buffer>();
  for (let at = 0; at < directory.length; at += ENTRY_BYTES) {
    entries.set(short(directory, at), directory.subarray(at, at + ENTRY_BYTES));
  }
  if (entries.has(TAGS.dngVersion)) return 'image/x-adobe-dng';
  const kind = entries.get(TAGS.newSubfileType);
  const make = entries.get(TAGS.make);
  const isRaw =
    kind !== undefined && long(kind, 8) === REDUCED && entries.has(TAGS.subDirectories) && make !== undefined;
  if (!isRaw || short(make, 2) !== ASCII || long(make, 4) < MAKE_BYTES / 4) return PLAIN;
  const at = long(make, 8);
  const name = file.read(at, Math.min(MAKE_BYTES, file.sizeBytes - at)).toString('latin1');
  return CAMERAS.find(([camera]) => name.toUpperCase().startsWith(camera))?.[1] ?? PLAIN;
}

/**
 * Detects TIFF and the raw formats that are based on it; null for other files, and for files without a directory.
 * @param isCut `file` is only the head of a longer file: a directory beyond the head is assumed to exist
 */
export function tiffType(file: ByteSource, isCut: boolean): string | null {
  if (file.sizeBytes < 10) return null;
  const head = file.read(0, 10);
  const mark = head.toString('latin1', 0, 4);
  const isBig = mark.startsWith('MM');
  if (mark === 'II+\0' || mark === 'MM\0+') return PLAIN;
  if (mark !== 'II*\0' && mark !== 'MM\0*') return null;
  if (head.toString('latin1', 8, 10) === 'CR') return 'image/x-canon-cr2';
  const offset = isBig ? head.readUInt32BE(4) : head.readUInt32LE(4);
  if (offset < 8) return null;
  try {
    return typeOfDirectory(file, offset, isBig);
  } catch (error) {
    if (!(error instanceof InvalidArchiveError)) throw error;
    return isCut ? PLAIN : null;
  }
}
