import { parseProfiles, type VariantProfile, verifyProfiles } from '#libs/domain';
import { InspectionExtensions } from '#libs/inspection';
import type { Feature } from './feature.js';

/**
 * The file readers and content checks of all features.
 * @throws Error with a message of one sentence if one is invalid, two have one id, or a reason lacks the prefix of its feature
 */
export function extensionsOf(features: readonly Feature[]): InspectionExtensions {
  for (const { name, contentChecks = [] } of features) {
    const prefix = `${name.replaceAll('-', '_').toUpperCase()}_`;
    const reason = contentChecks.flatMap(({ reasons }) => reasons).find((each) => !each.startsWith(prefix));
    if (reason !== undefined) {
      throw new Error(`The reason ${reason} of the feature ${name} must begin with ${prefix}.`);
    }
  }
  return new InspectionExtensions({
    readers: features.flatMap(({ readers = [] }) => readers),
    checks: features.flatMap(({ contentChecks = [] }) => contentChecks),
  });
}

/**
 * The configured variant profiles and those of all features.
 * @throws StowageError invalid PROFILE_INVALID for a syntax error, more than 16 profiles in all, or a duplicate name or
 * specification
 */
export const profilesOf = (
  configured: readonly VariantProfile[],
  features: readonly Feature[],
): VariantProfile[] =>
  verifyProfiles([...configured, ...parseProfiles(features.flatMap(({ variants = [] }) => variants))]);
