import { invalid } from './errors.js';

/** One key and value that a client attaches to an asset. */
export interface MetadataEntry {
  readonly key: string;
  readonly value: string;
}

const KEY = /^[A-Za-z0-9_.:-]{1,64}$/;
/** Maximum number of metadata entries of an asset. */
export const MAX_METADATA = 64;
const MAX_VALUE_BYTES = 4096;

/**
 * Validates the metadata of an asset: at most 64 entries, keys of 1 to 64 letters, digits, `_ . : -`, values of up to
 * 4096 bytes.
 * @throws StowageError invalid METADATA_INVALID
 */
export function parseMetadata(
  entries: readonly MetadataEntry[],
  path: readonly (string | number)[],
): readonly MetadataEntry[] {
  const refuse = (why: string, at: readonly (string | number)[]) => invalid('METADATA_INVALID', why, at);
  if (entries.length > MAX_METADATA)
    throw refuse(`At most ${MAX_METADATA} metadata entries are allowed.`, path);
  const seen = new Set<string>();
  entries.forEach(({ key, value }, index) => {
    if (!KEY.test(key)) {
      throw refuse('A metadata key must be 1 to 64 letters, digits, _ . : or -.', [...path, index, 'key']);
    }
    if (seen.has(key)) throw refuse(`The metadata key ${key} is given twice.`, [...path, index, 'key']);
    seen.add(key);
    if (Buffer.byteLength(value) > MAX_VALUE_BYTES || value.includes('\0') || !value.isWellFormed()) {
      throw refuse(
        `A metadata value must be at most ${MAX_VALUE_BYTES} bytes of well-formed text without NUL.`,
        [...path, index, 'value'],
      );
    }
  });
  return entries;
}

/** A change of an asset's metadata: entries that are added or replaced, and keys of entries that are removed. */
export interface MetadataChange {
  readonly set: readonly MetadataEntry[];
  readonly remove: readonly string[];
}

/**
 * Validates a change of metadata. Each key may occur once, either set or removed.
 * @param path of the input with the fields `setMetadata` and `removeMetadata`
 * @throws StowageError invalid METADATA_INVALID
 * @example parseMetadataChange({ set: [{ key: 'album', value: 'Summer' }], remove: ['note'] }, ['input']);
 */
export function parseMetadataChange(
  { set, remove }: MetadataChange,
  path: readonly (string | number)[],
): MetadataChange {
  parseMetadata(set, [...path, 'setMetadata']);
  const at = [...path, 'removeMetadata'];
  const refuse = (why: string, index?: number) =>
    invalid('METADATA_INVALID', why, index === undefined ? at : [...at, index]);
  if (remove.length > MAX_METADATA) throw refuse(`At most ${MAX_METADATA} metadata keys can be removed.`);
  const seen = new Set(set.map(({ key }) => key));
  remove.forEach((key, index) => {
    if (!KEY.test(key)) throw refuse('A metadata key must be 1 to 64 letters, digits, _ . : or -.', index);
    if (seen.has(key)) throw refuse('This metadata key is given twice.', index);
    seen.add(key);
  });
  return { set, remove };
}
