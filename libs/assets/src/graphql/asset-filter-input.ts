import { asIfUtc, foldMediaType, invalid } from '#libs/domain';
import {
  type AssetFilter,
  FILTERED_PROPERTIES,
  MAX_METADATA_FILTERS,
  type MetadataCondition,
  type PropertyFilter,
} from '../asset-filter.js';
import type { AssetFilterInput, MetadataFilterInput, PropertiesFilterInput } from './assets.args.js';

/** A media type, or a family such as `image/*`. */
const MEDIA_TYPE = /^[a-z0-9][a-z0-9!#$&^_.+-]{0,62}\/(\*|[a-z0-9][a-z0-9!#$&^_.+-]{0,62})$/;
/** Bounds of `filenameContains` in characters. File names have at most 255 bytes, and NFC of a long text may take quadratic time. */
const MIN_FILENAME = 3;
const MAX_FILENAME = 255;

const refuse = (why: string, ...path: (string | number)[]) =>
  invalid('FILTER_INVALID', why, ['filter', ...path]);

/** Lengths that no stored text exceeds. A longer text cannot match, and would be compared with each examined entry. */
const MAX_LENGTHS = {
  ...{ title: 512, album: 512, artist: 512, cameraMake: 128, cameraModel: 128 },
  ...{ key: 64, value: 4096, filename: 4 * MAX_FILENAME },
};

/** PostgreSQL texts cannot contain NUL. */
function checked(text: string, kind: keyof typeof MAX_LENGTHS, ...path: (string | number)[]): string {
  const max = MAX_LENGTHS[kind];
  if (text.length > max) throw refuse(`This text may have at most ${max} characters.`, ...path);
  if (text.includes('\0')) throw refuse('A text must not contain NUL.', ...path);
  return text;
}

function parseProperties(input: PropertiesFilterInput | null | undefined): PropertyFilter | undefined {
  const { takenAfter, takenBefore } = input ?? {};
  const found = Object.fromEntries(
    FILTERED_PROPERTIES.flatMap((name) => {
      const value = input?.[name];
      if (value == null) return [];
      return [
        [
          name,
          typeof value === 'string' && name !== 'hasLocation'
            ? checked(value, name, 'properties', name)
            : value,
        ],
      ];
    }),
  );
  const properties: PropertyFilter = {
    ...found,
    ...(takenAfter == null ? {} : { takenAfter: asIfUtc(takenAfter) }),
    ...(takenBefore == null ? {} : { takenBefore: asIfUtc(takenBefore) }),
  };
  return Object.keys(properties).length === 0 ? undefined : properties;
}

function parseMediaTypeFilter(text: string): string {
  const type = text.toLowerCase();
  if (!MEDIA_TYPE.test(type)) {
    throw refuse('mimeType must be a media type, or a family such as image/*.', 'mimeType');
  }
  return type.endsWith('/*') ? type : foldMediaType(type);
}

/** Repeated conditions count once, and the order of conditions is irrelevant. */
function parseMetadataFilter(inputs: readonly MetadataFilterInput[]): MetadataCondition[] | undefined {
  if (inputs.length > MAX_METADATA_FILTERS) {
    throw refuse(`At most ${MAX_METADATA_FILTERS} metadata conditions are allowed.`, 'metadata');
  }
  const conditions = inputs.map(({ key, value }, index): [string, MetadataCondition] => {
    const condition = {
      key: checked(key, 'key', 'metadata', index, 'key'),
      value: value == null ? null : checked(value, 'value', 'metadata', index, 'value'),
    };
    return [JSON.stringify(condition), condition];
  });
  const distinct = [...new Map(conditions.sort(([a], [b]) => (a < b ? -1 : 1))).values()];
  return distinct.length === 0 ? undefined : distinct;
}

function parseFilenamePart(text: string): string {
  const outOfRange = () =>
    refuse(`filenameContains must have ${MIN_FILENAME} to ${MAX_FILENAME} characters.`, 'filenameContains');
  const part = checked(text, 'filename', 'filenameContains').normalize('NFC');
  const length = [...part].length;
  if (length < MIN_FILENAME || length > MAX_FILENAME) throw outOfRange();
  return part;
}

const given = <Input, Value>(input: Input | null | undefined, parse: (input: Input) => Value) =>
  input == null ? undefined : parse(input);

/**
 * Validates and normalizes all conditions of a filter but owner and status. Equivalent inputs have equal results.
 * @throws StowageError invalid FILTER_INVALID
 */
export const parseFilter = (input: AssetFilterInput): Omit<AssetFilter, 'ownerId'> => ({
  kinds: given(input.kind, (kinds) => [...new Set(kinds)].sort()),
  mediaType: given(input.mimeType, parseMediaTypeFilter),
  checksum: input.checksumSha256 ?? undefined,
  metadata: given(input.metadata, parseMetadataFilter),
  createdAfter: input.createdAfter ?? undefined,
  createdBefore: input.createdBefore ?? undefined,
  filenameContains: given(input.filenameContains, parseFilenamePart),
  properties: parseProperties(input.properties),
});
