/*
 * ISO/IEC 14496-12, 4.3, and the brands of https://mp4ra.org/registered-types/brands: the first box of an MP4, HEIF or
 * AVIF file names its major brand and its compatible brands.
 */

const MP4 = 'video/mp4';

const BRANDS: Readonly<Record<string, string>> = {
  avif: 'image/avif',
  avis: 'image/avif',
  'crx ': 'image/x-canon-cr3',
  heic: 'image/heic',
  heix: 'image/heic',
  heim: 'image/heic',
  heis: 'image/heic',
  hevc: 'image/heic-sequence',
  hevx: 'image/heic-sequence',
  hevm: 'image/heic-sequence',
  hevs: 'image/heic-sequence',
  mjp2: 'image/mj2',
  'qt  ': 'video/quicktime',
  'F4A ': 'audio/mp4',
  'F4B ': 'audio/mp4',
  'M4A ': 'audio/mp4',
  'M4B ': 'audio/mp4',
  'M4P ': 'audio/mp4',
  KDDI: 'video/3gpp2',
};

/** Structural brands of HEIF: one of the compatible brands names the codec. */
const STRUCTURAL: Readonly<Record<string, string>> = {
  mif1: 'image/heif',
  mif2: 'image/heif',
  mif3: 'image/heif',
  miaf: 'image/heif',
  msf1: 'image/heif-sequence',
};

/** Major brands of videos; their compatible brands add no information. */
const VIDEO_BRAND = /^(iso[m2-9a-c]|mp4[12]|avc1|dash|cmf[a-z]|M4V|f4v|F4V|MSNV|XAVC)/;

/** First boxes of QuickTime files without a brand, and of MP4 segments. */
const UNBRANDED: Readonly<Record<string, string>> = {
  free: 'video/quicktime',
  mdat: 'video/quicktime',
  moov: 'video/quicktime',
  pnot: 'video/quicktime',
  skip: 'video/quicktime',
  wide: 'video/quicktime',
  moof: MP4,
  sidx: MP4,
  styp: MP4,
};

function typeOfBrand(brand: string): string | null {
  if (brand.startsWith('3g')) return brand.startsWith('3g2') ? 'video/3gpp2' : 'video/3gpp';
  return BRANDS[brand] ?? null;
}

const BRAND_BYTES = 4;
const MAJOR_AT = 8;
const COMPATIBLE_AT = 16;
const PRINTABLE = /^[\x20-\x7e]{2}[\x20-\x7e\0]{2}$/;

/** Detects ISO base media files by their first box; null for other formats. */
export function isoMediaType(head: Buffer): string | null {
  const box = head.toString('latin1', 4, 8);
  if (box !== 'ftyp') return UNBRANDED[box] ?? null;
  const brandAt = (at: number) => head.toString('latin1', at, at + BRAND_BYTES);
  const major = brandAt(MAJOR_AT);
  if (!PRINTABLE.test(major)) return null;
  const brand = major.replaceAll('\0', ' ');
  const exact = typeOfBrand(brand);
  if (exact !== null) return exact;
  if (VIDEO_BRAND.test(brand)) return MP4;
  const end = Math.min(head.readUInt32BE(0), head.length);
  const compatible: string[] = [];
  for (let at = COMPATIBLE_AT; at + BRAND_BYTES <= end; at += BRAND_BYTES) compatible.push(brandAt(at));
  const first = (table: Readonly<Record<string, string>>, names: readonly string[]) =>
    names.map((name) => table[name]).find((type) => type !== undefined) ?? null;
  const named = compatible.map(typeOfBrand).find((type) => type !== null);
  return named ?? first(STRUCTURAL, [brand, ...compatible]) ?? MP4;
}
