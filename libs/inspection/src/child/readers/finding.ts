import { type AssetProperties, soundProperties } from '#libs/domain';
import type { Finding } from '../reader.js';

/** What is sound of what was read in a file, and no word of the rest. */
export function findingOf(found: { readonly [P in keyof AssetProperties]?: unknown }): Finding {
  const sound = Object.entries(soundProperties(found)).filter(([, value]) => value !== null);
  return { properties: Object.fromEntries(sound) };
}
