import { createHash } from 'node:crypto';
import { invalid } from './errors.js';

export type VariantFormat = 'webp' | 'jpeg' | 'avif';

/**
 * `inside`: the whole image within the box. `cover`: the centre of the image in the shape of the box; from an image smaller
 * than the box, the largest such part.
 */
export type VariantFit = 'inside' | 'cover';

/** A smaller rendition that every image gets. New profiles need only configuration. */
export interface VariantProfile {
  /** Name under which clients request the variant. */
  readonly name: string;
  readonly format: VariantFormat;
  /** The box in pixels. Images are never enlarged. */
  readonly width: number;
  readonly height: number;
  readonly fit: VariantFit;
  /** Encoder quality, 1 to 100. */
  readonly quality: number;
}

/**
 * Must be increased when the renderer's output changes for unchanged parameters; all variants are then generated again.
 */
const REVISION = 1;
const PROFILE =
  /^([a-z0-9][a-z0-9-]{0,31})=(webp|jpeg|avif):([0-9]{1,5})(?:x([0-9]{1,5}))?:([0-9]{1,3})(?::(inside|cover))?$/;
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

/**
 * Specification of a variant's parameters; profiles with equal specifications produce identical images. A square box with
 * `inside` has the form of the releases that knew no other, so that their variants remain valid.
 */
export function specOf({ format, width, height, fit, quality }: VariantProfile): string {
  const box = fit === 'inside' && width === height ? width : `${width}x${height}-${fit}`;
  return `${format}-${box}-q${quality}-r${REVISION}`;
}

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

/** Text that names the profiles of which not all variants could be made. It has one word, and so names no variant. */
export const unmadeSpecsOf = (profiles: readonly VariantProfile[]) =>
  `unmade-${createHash('sha256').update(specsOf(profiles)).digest('hex').slice(0, NAMES_DIGITS)}`;

/** Media type of a variant format. */
export const variantType = (format: VariantFormat) => `image/${format}`;

/**
 * Parses profiles of the form `name=format:longest side:quality` or `name=format:WIDTHxHEIGHT:quality:fit`, in which the fit
 * is `inside` unless `cover` is given.
 * @throws StowageError invalid PROFILE_INVALID for a syntax error, more than 16 profiles, or a duplicate name or
 * specification
 * @example parseProfiles(['small=webp:320:80', 'album-cover=webp:600x600:80:cover'])
 */
export function parseProfiles(texts: readonly string[]): VariantProfile[] {
  return verifyProfiles(texts.map(parseProfile));
}

function parseProfile(text: string): VariantProfile {
  const [, name = '', format = '', width, height = width, quality, fit = 'inside'] = PROFILE.exec(text) ?? [];
  const profile = {
    name,
    format: format as VariantFormat,
    width: Number(width),
    height: Number(height),
    fit: fit as VariantFit,
    quality: Number(quality),
  };
  const isSide = (side: number) => side >= 1 && side <= MAX_SIDE;
  const isValid = isSide(profile.width) && isSide(profile.height);
  if (name === '' || !isValid || profile.quality < 1 || profile.quality > 100) {
    throw invalid(
      'PROFILE_INVALID',
      `A profile must have the form name=format:longest side:quality or name=format:WIDTHxHEIGHT:quality:cover, not ${text}.`,
    );
  }
  return profile;
}

/**
 * Returns the profiles if they can be used together.
 * @throws StowageError invalid PROFILE_INVALID for more than 16 profiles, or a duplicate name or specification
 */
export function verifyProfiles(profiles: VariantProfile[]): VariantProfile[] {
  if (profiles.length > MAX_PROFILES) {
    throw invalid('PROFILE_INVALID', `At most ${MAX_PROFILES} profiles are allowed, not ${profiles.length}.`);
  }
  for (const [what, keys] of [
    ['are named', profiles.map(({ name }) => name)],
    ['have the specification', profiles.map(specOf)],
  ] as const) {
    const twice = keys.find((key, at) => keys.indexOf(key) < at);
    if (twice !== undefined) throw invalid('PROFILE_INVALID', `Two variant profiles ${what} ${twice}.`);
  }
  return profiles;
}
