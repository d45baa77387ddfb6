import { createHash } from 'node:crypto';
import { invalid } from './errors.js';

export const VARIANT_FORMATS = ['webp', 'jpeg', 'avif'] as const;
export type VariantFormat = (typeof VARIANT_FORMATS)[number];

/** A smaller rendition that every image gets. Adding one is configuration. */
export interface VariantProfile {
  /** What clients know it by. */
  readonly name: string;
  readonly format: VariantFormat;
  /** Pixels of the longer side at most; nothing is enlarged. */
  readonly maxSide: number;
  /** 1 to 100. */
  readonly quality: number;
}

/** Goes up when the same parameters begin to give other pictures: all variants are then made again. */
const REVISION = 1;
const PROFILE = /^([a-z0-9][a-z0-9-]{0,31})=(webp|jpeg|avif):([0-9]{1,5}):([0-9]{1,3})$/;
const MAX_SIDE = 8192;
/** All their specifications are kept in one text of 512 characters. */
const MAX_PROFILES = 16;

/**
 * Why a stored picture has no variants. `DECODER_MISSING`: this service decodes no files of its format. `UNSUPPORTED_LAYOUT`: the decoder
 * of its format does not know this layout or coding of it. `TOO_MANY_PIXELS`: the decoder would need too much memory. `TOO_LARGE`: the
 * file is larger than the disk space for inspection.
 */
export const VARIANTS_REASONS = [
  'DECODER_MISSING',
  'UNSUPPORTED_LAYOUT',
  'TOO_MANY_PIXELS',
  'TOO_LARGE',
] as const;
export type VariantsReason = (typeof VARIANTS_REASONS)[number];

export const DEFAULT_PROFILES = ['small=webp:320:80', 'large=webp:1280:80'];

/** What makes a variant what it is; two profiles of one specification give the same picture. */
export const specOf = ({ format, maxSide, quality }: VariantProfile) =>
  `${format}-${maxSide}-q${quality}-r${REVISION}`;

const NAMES_DIGITS = 16;

/** Specifications and what they are called in one text, to see that either has changed. The names may be too long for its column. */
export function specsText(named: Iterable<readonly [spec: string, name: string]>): string {
  const entries = [...named].map((entry) => entry.join('=')).sort();
  if (entries.length === 0) return '';
  const names = createHash('sha256').update(entries.join(' ')).digest('hex').slice(0, NAMES_DIGITS);
  return [...entries.map((entry) => entry.slice(0, entry.indexOf('='))), names].join(' ');
}

export const specsOf = (profiles: readonly VariantProfile[]) =>
  specsText(profiles.map((profile) => [specOf(profile), profile.name]));

export const variantType = (format: VariantFormat) => `image/${format}`;

/**
 * Profiles written as `name=format:longest side:quality`.
 * @throws StowageError invalid PROFILE_INVALID, also for more than 16, or a name or a specification that comes twice
 */
export function parseProfiles(texts: readonly string[]): VariantProfile[] {
  const profiles = texts.map((text) => {
    const [, name = '', format = '', side, quality] = PROFILE.exec(text) ?? [];
    const profile = {
      name,
      format: format as VariantFormat,
      maxSide: Number(side),
      quality: Number(quality),
    };
    const { maxSide, quality: q } = profile;
    if (name === '' || maxSide < 1 || maxSide > MAX_SIDE || q < 1 || q > 100) {
      throw invalid('PROFILE_INVALID', `A profile is name=format:longest side:quality, not ${text}.`);
    }
    return profile;
  });
  if (profiles.length > MAX_PROFILES) {
    throw invalid('PROFILE_INVALID', `There may be ${MAX_PROFILES} profiles, not ${profiles.length}.`);
  }
  const isTwice = (keys: string[]) => new Set(keys).size < keys.length;
  if (isTwice(profiles.map(({ name }) => name)) || isTwice(profiles.map(specOf))) {
    throw invalid('PROFILE_INVALID', 'Two profiles have the same name or the same specification.');
  }
  return profiles;
}
