import type { Sharp } from 'sharp';
import { rgbaToThumbHash } from 'thumbhash';
import type { VariantFormat } from '#libs/domain';
import type { Rendition } from '../../../inspector.js';
import type { FileToRead } from '../../reader.js';
import { sharp } from './sharp.js';

/** Longest side of a picture, in pixels, that the thumbhash algorithm accepts. */
const THUMBHASH_SIDE = 100;

/** Takes half the time of the default effort for AVIF and makes files a few per cent larger. */
const AVIF_EFFORT = 2;

const ENCODERS: Record<VariantFormat, (picture: Sharp, quality: number) => Sharp> = {
  webp: (picture, quality) => picture.webp({ quality }),
  // JPEG has no transparency.
  jpeg: (picture, quality) => picture.flatten({ background: '#fff' }).jpeg({ quality, mozjpeg: false }),
  avif: (picture, quality) => picture.avif({ quality, effort: AVIF_EFFORT }),
};

const fit = (picture: Sharp, side: number) =>
  picture.resize(side, side, { fit: 'inside', withoutEnlargement: true });

export interface Pictures {
  readonly renditions: Rendition[];
  readonly thumbhash: string;
}

/**
 * Decodes a picture once, upright and in sRGB, and derives all renditions and the thumbhash from the largest size needed.
 * Only pixels are passed on, no metadata.
 * @throws Error of sharp when the picture cannot be decoded
 */
export async function renderAll(
  input: Sharp,
  { profiles, longestSide = 0 }: Pick<FileToRead, 'profiles' | 'longestSide'>,
): Promise<Pictures> {
  const largest = Math.max(THUMBHASH_SIDE, longestSide, ...profiles.map(({ maxSide }) => maxSide));
  const { data, info } = await fit(input.autoOrient(), largest)
    .toColourspace('srgb')
    .raw()
    .toBuffer({ resolveWithObject: true });
  const { width, height, channels } = info;
  const pixels = () => sharp(data, { raw: { width, height, channels } });

  const renditions: Rendition[] = [];
  for (const profile of profiles) {
    const picture = ENCODERS[profile.format](fit(pixels(), profile.maxSide), profile.quality);
    const made = await picture.toBuffer({ resolveWithObject: true });
    renditions.push({ profile, width: made.info.width, height: made.info.height, bytes: made.data });
  }
  const tiny = await fit(pixels(), THUMBHASH_SIDE)
    .toColourspace('srgb')
    .ensureAlpha()
    .raw()
    .toBuffer({ resolveWithObject: true });
  const hash = rgbaToThumbHash(tiny.info.width, tiny.info.height, tiny.data);
  return { renditions, thumbhash: Buffer.from(hash).toString('base64') };
}
