import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { buildSchema, getIntrospectionQuery, parse, specifiedRules, validate } from 'graphql';
import { StowageError } from '#libs/domain';
import { MAX_TOKENS, QUERY_LIMITS, queryLimits } from './query-limits.js';

const schema = buildSchema(
  readFileSync(path.resolve(import.meta.dirname, '../../../apps/api/schema.graphql'), 'utf8'),
);
const rules = [...specifiedRules, queryLimits()];

const refusals = (query: string) =>
  validate(schema, parse(query, { maxTokens: MAX_TOKENS }), rules).map(({ originalError, message }) =>
    originalError instanceof StowageError ? originalError.reason : message,
  );

const times = (count: number, part: (index: number) => string) =>
  Array.from({ length: count }, (_, i) => part(i)).join(' ');
/** A tree of list fields that only introspection has: depth is all that is wrong with it. */
const nested = (depth: number) =>
  `{ __type(name: "Asset") ${'{ ofType '.repeat(depth - 2)} { name } ${'}'.repeat(depth - 2)} }`;
const assets = (args: string, fields: number) =>
  `{ assets${args} { nodes { ${times(fields, () => 'id')} } } }`;

describe('queryLimits', () => {
  it.each([
    ['the standard introspection query', getIntrospectionQuery()],
    [
      'introspection with everything that clients add',
      getIntrospectionQuery({
        descriptions: true,
        specifiedByUrl: true,
        directiveIsRepeatable: true,
        schemaDescription: true,
        inputValueDeprecation: true,
        oneOf: true,
      }),
    ],
    ['as deep as may be', nested(QUERY_LIMITS.depth)],
    ['as many aliases as may be', `{ ${times(30, (i) => `a${i}: viewer { id }`)} }`],
    ['as many root fields as may be', `{ ${times(30, () => 'viewer { id }')} }`],
    ['a full page of 98 fields', assets('(first: 100)', 98)],
    ['a default page of 450 fields', assets('', 450)],
    ['a page that is refused in better words', assets('(first: 1000000)', 10)],
  ])('lets %s pass', (_, query) => {
    expect(refusals(query)).toEqual([]);
  });

  it.each([
    ['QUERY_TOO_DEEP', nested(QUERY_LIMITS.depth + 1)],
    ['TOO_MANY_ROOT_FIELDS', `{ ${times(31, () => 'viewer { id }')} }`],
    ['TOO_MANY_ALIASES', `{ viewer { ${times(31, (i) => `a${i}: id`)} } }`],
    ['TOO_MANY_DIRECTIVES', `{ viewer { ${times(31, () => 'id @include(if: true)')} } }`],
    ['QUERY_TOO_COMPLEX', assets('(first: 100)', 100)],
    ['QUERY_TOO_COMPLEX', assets('(last: 100)', 100)],
    ['QUERY_TOO_COMPLEX', assets('', 500)],
    ['QUERY_TOO_COMPLEX', `query ($n: Int = 1) ${assets('(first: $n)', 100)}`],
  ])('refuses with %s', (reason, query) => {
    expect(refusals(query)).toEqual([reason]);
  });

  it.each([
    ['QUERY_TOO_DEEP', `{ ...A } fragment A on Query ${nested(QUERY_LIMITS.depth + 1)}`],
    [
      'TOO_MANY_ALIASES',
      `{ ${times(11, () => `viewer { ...A }`)} } fragment A on Viewer { a: id b: id c: id }`,
    ],
    [
      'TOO_MANY_ROOT_FIELDS',
      `{ ...A ...A ... on Query { ...A } } fragment A on Query { ${times(11, () => 'viewer { id }')} }`,
    ],
    [
      'TOO_MANY_DIRECTIVES',
      `{ ${times(16, () => 'viewer { ...A }')} } fragment A on Viewer { id @skip(if: false) isAdmin @skip(if: false) }`,
    ],
    [
      'QUERY_TOO_COMPLEX',
      `{ assets(first: 100) { ...A } } fragment A on AssetConnection { nodes { ${times(100, () => 'id')} } }`,
    ],
  ])('counts what fragments hold: %s', (reason, query) => {
    expect(refusals(query)).toEqual([reason]);
  });

  it('measures each operation of a document', () => {
    const query = `query A { viewer { id } } query B { viewer { ${times(31, (i) => `a${i}: id`)} } }`;
    expect(refusals(query)).toEqual(['TOO_MANY_ALIASES']);
  });

  it('comes to an end on fragments that contain themselves or double each other', () => {
    expect(refusals('{ ...A } fragment A on Query { ...B } fragment B on Query { ...A }')).toEqual([
      expect.stringContaining('Cannot spread fragment "A" within itself'),
    ]);
    const last = 60;
    const doubling = times(last, (i) => `fragment F${i} on Query { ...F${i + 1} ...F${i + 1} }`);
    expect(refusals(`{ ...F0 } ${doubling} fragment F${last} on Query { viewer { id } }`)).toEqual([
      'TOO_MANY_ROOT_FIELDS',
      'QUERY_TOO_COMPLEX',
    ]);
  });

  it('leaves what no schema knows to graphql-js', () => {
    expect(refusals('{ nothing { of: the } ...Sort }')).toEqual([
      expect.stringContaining('Cannot query field "nothing"'),
      'Unknown fragment "Sort".',
    ]);
    expect(refusals('subscription { nothing }')).toEqual([
      'Cannot query field "nothing" on type "Subscription".',
    ]);
  });
});
