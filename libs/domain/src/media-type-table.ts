import { ALIASES, CHILDREN, FAMILIES, MISNOMERS, PROVEN, RECOGNISED } from './media-types.data.js';

/*
 * Lookups over the tables of media-types.data.ts. All functions expect canonical names, which `foldMediaType` returns.
 */

const lines = (table: string) => table.trim().split('\n');
const words = (text: string) => text.trim().split(/\s+/);
const keyed = (table: string): readonly (readonly [string, readonly string[]])[] =>
  lines(table).map((line) => {
    const [key = '', names = ''] = line.split(': ');
    return [key, words(names)];
  });

const patternOf = (name: string) => new RegExp(`^${name.replaceAll(/[.+]/g, '\\$&').replaceAll('*', '.*')}$`);

/** Returns a test for a list of names, which may contain `*`. */
function oneOf(names: readonly string[]): (type: string) => boolean {
  const plain = new Set(names.filter((name) => !name.includes('*')));
  const patterns = names.filter((name) => name.includes('*')).map(patternOf);
  return (type) => plain.has(type) || patterns.some((pattern) => pattern.test(type));
}

function withExceptions(names: readonly string[]): (type: string) => boolean {
  const isIn = oneOf(names.filter((name) => !name.startsWith('!')));
  const isOut = oneOf(names.filter((name) => name.startsWith('!')).map((name) => name.slice(1)));
  return (type) => isIn(type) && !isOut(type);
}

const STORED_NAMES: ReadonlyMap<string, string> = new Map(
  keyed(ALIASES).flatMap(([stored, others]) => others.map((other) => [other, stored] as const)),
);

/** Returns the canonical name of a type: lower case, without parameters, aliases resolved. */
export function foldMediaType(type: string): string {
  const bare = (type.split(';', 1)[0] ?? '').trim().toLowerCase();
  return STORED_NAMES.get(bare) ?? bare;
}

const PARENTS = keyed(CHILDREN).map(([parent, names]) => ({ parent, isChild: withExceptions(names) }));

const parentsOf = (type: string) =>
  PARENTS.filter(({ parent, isChild }) => parent !== type && isChild(type)).map(({ parent }) => parent);

/** Returns a type and all its ancestors: `application/vnd.oasis.opendocument.text` is also an `application/zip`. */
export function lineageOf(type: string): ReadonlySet<string> {
  const found = new Set([type]);
  for (const name of found) for (const parent of parentsOf(name)) found.add(parent);
  return found;
}

/** Whether a type is another type or a descendant of it. */
export const isMediaTypeOf = (type: string, ancestor: string) => lineageOf(type).has(ancestor);

const FAMILY_SETS = lines(FAMILIES).map((line) => new Set(words(line)));

/** Whether two types belong to one family, whose names are used interchangeably. */
export const areRelated = (one: string, other: string) =>
  FAMILY_SETS.some((family) => family.has(one) && family.has(other));

const MISNOMER_ROWS = lines(MISNOMERS).map((line) => {
  const [declared = '', found = '', result = ''] = words(line);
  return { isDeclared: oneOf([declared]), found, isFound: oneOf([found]), result };
});

/**
 * Returns the type of a file with a well-known confusion between the type that systems derive from its name and the
 * type of its bytes; null if the confusion is unknown.
 */
export function knownConfusionOf(declared: string, found: string): string | null {
  const row = MISNOMER_ROWS.find(({ isDeclared, isFound }) => isDeclared(declared) && isFound(found));
  if (row === undefined) return null;
  return row.result === 'found' ? found : row.result === 'declared' ? declared : row.result;
}

const isRecognisedItself = oneOf(words(RECOGNISED));

/** Whether every file of a type has a signature: its own or an ancestor's. */
export const isRecognised = (type: string) => [...lineageOf(type)].some(isRecognisedItself);

/** Whether the tables do not describe the form of a type's bytes. */
export const isOfUnknownForm = (type: string) =>
  PARENTS.every(({ parent, isChild }) => parent !== type && !isChild(type)) &&
  !isRecognised(type) &&
  !FAMILY_SETS.some((family) => family.has(type));

/** Whether bytes that match only an ancestor's signature contradict the type. */
export const isProven = withExceptions(words(PROVEN));

/**
 * Lists the detected types that are compatible with a declared type: the type, its ancestors, and its well-known
 * confusions, which may be patterns with `*`.
 */
export function possibleTypesOf(declared: string): readonly string[] {
  const declaredType = foldMediaType(declared);
  const confusions = MISNOMER_ROWS.filter(({ isDeclared }) => isDeclared(declaredType));
  return [...lineageOf(declaredType), ...confusions.map(({ found }) => found)];
}
