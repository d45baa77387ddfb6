import { createHash } from 'node:crypto';
import { invalid } from './errors.js';

export type VariantFormat = 'webp' | 'jpeg' | 'avif';

/** A smaller rendition that every image gets. New profiles need only configuration. */
export interface VariantProfile {
  /** Name under which clients request the variant. */
  readonly name: string;
  readonly format: VariantFormat;
  /** Maximum length of the longer side in pixels; images are never enlarged. */
  readonly maxSide: number;
  /** Encoder quality, 1 to 100. */
  readonly quality: number;
}

/**
 * Must be increased when the renderer's output changes for unchanged parameters; all variants are then generated again.
 */
const REVISION = 1;
const PROFILE = /^([a-z0-9][a-z0-9-]{0,31})=(webp|jpeg|avif):([0-9]{1,5}):([0-9]{1,3})$/;
const MAX_SIDE = 8192;
/** Limited because the specifications of all profiles must fit into a column of 512 characters. */
const MAX_PROFILES = 16;

/**
 * Why a stored image has no variants. `DECODER_MISSING`: the service has no decoder for the format.
 * `UNSUPPORTED_LAYOUT`: the decoder does not support this layout or coding of its format. `TOO_MANY_PIXELS`: the
 * decoder would need too much memory. `TOO_LARGE`: the file exceeds the disk space for inspection.
 */
export const VARIANTS_REASONS = [
  'DECODER_MISSING',
  'UNSUPPORTED_LAYOUT',
  'TOO_MANY_PIXELS',
  'TOO_LARGE',
] as const;
export type VariantsReason = (typeof VARIANTS_REASONS)[number];

/** Profiles of an installation that configures none. */
export const DEFAULT_PROFILES = ['small=webp:320:80', 'large=webp:1280:80'];

/** Specification of a variant's parameters; profiles with equal specifications produce identical images. */
export const specOf = ({ format, maxSide, quality }: VariantProfile) =>
  `${format}-${maxSide}-q${quality}-r${REVISION}`;

const NAMES_DIGITS = 16;

/**
 * Combines specifications and names into one text, to detect a change of either. The names are hashed because they may
 * be too long for the column.
 */
export function specsText(named: Iterable<readonly [spec: string, name: string]>): string {
  const entries = [...named].map((entry) => entry.join('=')).sort();
  if (entries.length === 0) return '';
  const names = createHash('sha256').update(entries.join(' ')).digest('hex').slice(0, NAMES_DIGITS);
  return [...entries.map((entry) => entry.slice(0, entry.indexOf('='))), names].join(' ');
}

/** The text of {@link specsText} for a list of profiles. */
export const specsOf = (profiles: readonly VariantProfile[]) =>
  specsText(profiles.map((profile) => [specOf(profile), profile.name]));

/** Media type of a variant format. */
export const variantType = (format: VariantFormat) => `image/${format}`;

/**
 * Parses profiles of the form `name=format:longest side:quality`.
 * @throws StowageError invalid PROFILE_INVALID for a syntax error, more than 16 profiles, or a duplicate name or
 * specification
 * @example parseProfiles(['small=webp:320:80'])
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
      throw invalid(
        'PROFILE_INVALID',
        `A profile must have the form name=format:longest side:quality, not ${text}.`,
      );
    }
    return profile;
  });
  if (profiles.length > MAX_PROFILES) {
    throw invalid('PROFILE_INVALID', `At most ${MAX_PROFILES} profiles are allowed, not ${profiles.length}.`);
  }
  const isTwice = (keys: string[]) => new Set(keys).size < keys.length;
  if (isTwice(profiles.map(({ name }) => name)) || isTwice(profiles.map(specOf))) {
    throw invalid('PROFILE_INVALID', 'Two profiles have the same name or the same specification.');
  }
  return profiles;
}
