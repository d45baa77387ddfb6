import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { buildSchema, getIntrospectionQuery, parse, specifiedRules, validate } from 'graphql';
import { StowageError } from '#libs/domain';
import { MAX_TOKENS, QUERY_LIMITS, queryLimits } from './query-limits.js';

const schema = buildSchema(
  readFileSync(path.resolve(import.meta.dirname, '../../../apps/api/schema.graphql'), 'utf8'),
);
const rules = [...specifiedRules, queryLimits];

const rejections = (query: string) =>
  validate(schema, parse(query, { maxTokens: MAX_TOKENS }), rules).map(({ originalError, message }) =>
    originalError instanceof StowageError ? originalError.reason : message,
  );

const times = (count: number, part: (index: number) => string) =>
  Array.from({ length: count }, (_, i) => part(i)).join(' ');
/** A nested query that only introspection types allow; it violates the depth limit and no other. */
const nested = (depth: number) =>
  `{ __type(name: "Asset") ${'{ ofType '.repeat(depth - 2)} { name } ${'}'.repeat(depth - 2)} }`;
const assets = (args: string, fields: number) =>
  `{ assets${args} { nodes { ${times(fields, () => 'id')} } } }`;

describe('queryLimits', () => {
  it.each([
    ['the standard introspection query', getIntrospectionQuery()],
    [
      'the introspection query with all options that clients use',
      getIntrospectionQuery({
        descriptions: true,
        specifiedByUrl: true,
        directiveIsRepeatable: true,
        schemaDescription: true,
        inputValueDeprecation: true,
        oneOf: true,
      }),
    ],
    ['the maximum depth', nested(QUERY_LIMITS.depth)],
    ['the maximum number of aliases', `{ ${times(30, (i) => `a${i}: viewer { id }`)} }`],
    ['the maximum number of root fields', `{ ${times(30, () => 'viewer { id }')} }`],
    ['a full page of 98 fields', assets('(first: 100)', 98)],
    ['a default page of 450 fields', assets('', 450)],
    ['a page size that the paging check rejects', assets('(first: 1000000)', 10)],
  ])('accepts %s', (_, query) => {
    expect(rejections(query)).toEqual([]);
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
  ])('rejects with %s', (reason, query) => {
    expect(rejections(query)).toEqual([reason]);
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
  ])('counts the contents of fragments: %s', (reason, query) => {
    expect(rejections(query)).toEqual([reason]);
  });

  it('measures each operation of a document', () => {
    const query = `query A { viewer { id } } query B { viewer { ${times(31, (i) => `a${i}: id`)} } }`;
    expect(rejections(query)).toEqual(['TOO_MANY_ALIASES']);
  });

  it('terminates on fragments that contain themselves or grow exponentially', () => {
    expect(rejections('{ ...A } fragment A on Query { ...B } fragment B on Query { ...A }')).toEqual([
      expect.stringContaining('Cannot spread fragment "A" within itself'),
    ]);
    const last = 60;
    const doubling = times(last, (i) => `fragment F${i} on Query { ...F${i + 1} ...F${i + 1} }`);
    expect(rejections(`{ ...F0 } ${doubling} fragment F${last} on Query { viewer { id } }`)).toEqual([
      'TOO_MANY_ROOT_FIELDS',
      'QUERY_TOO_COMPLEX',
    ]);
  });

  it('leaves unknown fields and fragments to graphql-js', () => {
    expect(rejections('{ nothing { of: the } ...Sort }')).toEqual([
      expect.stringContaining('Cannot query field "nothing"'),
      'Unknown fragment "Sort".',
    ]);
    expect(rejections('subscription { nothing }')).toEqual([
      'Cannot query field "nothing" on type "Subscription".',
    ]);
  });
});
