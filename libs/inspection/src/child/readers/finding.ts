import { type AssetProperties, sanitizeProperties } from '#libs/domain';
import type { Finding } from '../reader.js';

/** Keeps the plausible values among the properties read from a file and drops the others. */
export function findingOf(found: { readonly [P in keyof AssetProperties]?: unknown }): Finding {
  const sound = Object.entries(sanitizeProperties(found)).filter(([, value]) => value !== null);
  return { properties: Object.fromEntries(sound) };
}
