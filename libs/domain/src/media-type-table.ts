import { ALIASES, CHILDREN, FAMILIES, MISNOMERS, PROVEN, RECOGNISED } from './media-types.data.js';

/*
 * The tables of media-types.data.ts as lookups. All of these functions expect stored names: `foldMediaType` gives them.
 */

const lines = (table: string) => table.trim().split('\n');
const words = (text: string) => text.trim().split(/\s+/);
const keyed = (table: string): readonly (readonly [string, readonly string[]])[] =>
  lines(table).map((line) => {
    const [key = '', names = ''] = line.split(': ');
    return [key, words(names)];
  });

const patternOf = (name: string) => new RegExp(`^${name.replaceAll(/[.+]/g, '\\$&').replaceAll('*', '.*')}$`);

/** Whether a type is one of some names, which may have a `*` in them. */
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

/** The stored name of a type: lower case, without parameters, other names folded into one. */
export function foldMediaType(type: string): string {
  const bare = (type.split(';', 1)[0] ?? '').trim().toLowerCase();
  return STORED_NAMES.get(bare) ?? bare;
}

const PARENTS = keyed(CHILDREN).map(([parent, names]) => ({ parent, isChild: withExceptions(names) }));

const parentsOf = (type: string) =>
  PARENTS.filter(({ parent, isChild }) => parent !== type && isChild(type)).map(({ parent }) => parent);

/** A type and all that it is besides: `application/vnd.oasis.opendocument.text` is an `application/zip`. */
export function lineageOf(type: string): ReadonlySet<string> {
  const found = new Set([type]);
  for (const name of found) for (const parent of parentsOf(name)) found.add(parent);
  return found;
}

/** Whether a type is another one, or that and more. */
export const isMediaTypeOf = (type: string, ancestor: string) => lineageOf(type).has(ancestor);

const FAMILY_SETS = lines(FAMILIES).map((line) => new Set(words(line)));

/** Whether two types go by each other's names. */
export const areRelated = (one: string, other: string) =>
  FAMILY_SETS.some((family) => family.has(one) && family.has(other));

const MISNOMER_ROWS = lines(MISNOMERS).map((line) => {
  const [declared = '', found = '', result = ''] = words(line);
  return { isDeclared: oneOf([declared]), found, isFound: oneOf([found]), result };
});

/** What a file is whose bytes are of another type than the one that systems call it by its name; null when that is no known confusion. */
export function misnamedAs(declared: string, found: string): string | null {
  const row = MISNOMER_ROWS.find(({ isDeclared, isFound }) => isDeclared(declared) && isFound(found));
  if (row === undefined) return null;
  return row.result === 'found' ? found : row.result === 'declared' ? declared : row.result;
}

const isRecognisedItself = oneOf(words(RECOGNISED));

/** Whether every file of a type shows a signature: its own, or that of what it is besides. */
export const isRecognised = (type: string) => [...lineageOf(type)].some(isRecognisedItself);

/** Whether the tables say nothing of what the bytes of a type look like. */
export const isOfUnknownForm = (type: string) =>
  PARENTS.every(({ parent, isChild }) => parent !== type && !isChild(type)) &&
  !isRecognised(type) &&
  !FAMILY_SETS.some((family) => family.has(type));

/** Whether bytes that show only what a type is besides contradict it. */
export const isProven = withExceptions(words(PROVEN));

/**
 * The types that bytes may show, for a declaration to be right: it, all that it is besides, and what it is confused with. The last
 * may be patterns with a `*`.
 */
export function possibleTypesOf(declared: string): readonly string[] {
  const promised = foldMediaType(declared);
  const confusions = MISNOMER_ROWS.filter(({ isDeclared }) => isDeclared(promised));
  return [...lineageOf(promised), ...confusions.map(({ found }) => found)];
}
