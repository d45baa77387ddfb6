import type { OutputInfo, Sharp } from 'sharp';
import { rgbaToThumbHash } from 'thumbhash';
import type { VariantFormat, VariantProfile } from '#libs/domain';
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

const fit = (picture: Sharp, width: number, height = width) =>
  picture.resize(width, height, { fit: 'inside', withoutEnlargement: true });

interface Pixels {
  readonly data: Buffer;
  readonly info: OutputInfo;
}

const decode = (picture: Sharp): Promise<Pixels> =>
  picture.toColourspace('srgb').raw().toBuffer({ resolveWithObject: true });

const pictureOf = ({ data, info: { width, height, channels } }: Pixels) =>
  sharp(data, { raw: { width, height, channels } });

/** The size of a cover: the box, or its shape at the size of the picture if that is smaller. */
function coverSize(box: VariantProfile, picture: { width: number; height: number }) {
  const scale = Math.min(1, picture.width / box.width, picture.height / box.height);
  const side = (length: number) => Math.max(1, Math.round(length * scale));
  return { width: side(box.width), height: side(box.height) };
}

export interface Pictures {
  readonly renditions: Rendition[];
  readonly thumbhash: string;
}

/**
 * Decodes a picture once, upright and in sRGB, and derives all renditions and the thumbhash from the largest size needed. A
 * cover of a long picture needs more pixels than that and decodes the picture again. Only pixels are passed on, no metadata.
 * @throws Error of sharp when the picture cannot be decoded
 */
export async function renderAll(
  input: Sharp,
  { profiles, longestSide = 0 }: Pick<FileToRead, 'profiles' | 'longestSide'>,
): Promise<Pictures> {
  const upright = () => input.clone().autoOrient();
  const sides = profiles.flatMap(({ width, height }) => [width, height]);
  const largest = await decode(fit(upright(), Math.max(THUMBHASH_SIDE, longestSide, ...sides)));
  const hasCover = profiles.some((profile) => profile.fit === 'cover');
  const original = hasCover ? (await input.metadata()).autoOrient : largest.info;

  const cover = async (profile: VariantProfile) => {
    const { width, height } = coverSize(profile, original);
    const isEnough = largest.info.width >= width && largest.info.height >= height;
    const crop = (picture: Sharp) => picture.resize(width, height, { fit: 'cover', position: 'centre' });
    return isEnough ? crop(pictureOf(largest)) : pictureOf(await decode(crop(upright())));
  };

  const renditions: Rendition[] = [];
  for (const profile of profiles) {
    const picture =
      profile.fit === 'cover' ? await cover(profile) : fit(pictureOf(largest), profile.width, profile.height);
    const made = await ENCODERS[profile.format](picture, profile.quality).toBuffer({
      resolveWithObject: true,
    });
    renditions.push({ profile, width: made.info.width, height: made.info.height, bytes: made.data });
  }
  const tiny = await decode(fit(pictureOf(largest), THUMBHASH_SIDE).toColourspace('srgb').ensureAlpha());
  const hash = rgbaToThumbHash(tiny.info.width, tiny.info.height, tiny.data);
  return { renditions, thumbhash: Buffer.from(hash).toString('base64') };
}
