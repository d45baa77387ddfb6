import { describe, expect, it } from '@jest/globals';
import { buildSchema, type GraphQLObjectType, parse, validate } from 'graphql';
import { StowageError } from '#libs/domain';
import { MaxItems, unlimitedLists, verifyLists } from './list-sizes.js';
import { QUERY_LIMITS, queryLimits } from './query-limits.js';

const SDL = `
  type Query { albums(first: Int, last: Int): AlbumConnection! album: Album tags(first: Int): [Tag!]! }
  type AlbumConnection { nodes: [Album!]! edges: [AlbumEdge!]! }
  type AlbumEdge { node: Album! }
  type Album { id: ID! items: [Item!]! details: [Item!]! names: [String!]! related(first: Int): AlbumConnection! }
  type Item { id: ID! parts: [Item!] }
  type Tag { name: String! }`;
const SIZES = {
  'AlbumConnection.nodes': 'page',
  'AlbumConnection.edges': 'page',
  'Album.items': { max: 100, counted: 100 },
  'Album.details': { max: 200, counted: 1 },
  'Album.names': { max: 50, counted: 50 },
  'Item.parts': { max: 7, counted: 7 },
};

/** The schema of an API that declares the sizes of its lists. */
function schemaOf(sdl = SDL, sizes: Readonly<Record<string, unknown>> = SIZES) {
  const schema = buildSchema(sdl);
  for (const [path, maxItems] of Object.entries(sizes)) {
    const [type, field] = path.split('.') as [string, string];
    (schema.getType(type) as GraphQLObjectType).getFields()[field]!.extensions = { maxItems };
  }
  return schema;
}

const schema = schemaOf();
/** Cost of an operation, as the rule states it when the cost exceeds the limit. */
function costOf(query: string, fragments = ''): number {
  // The first field exceeds the limit by itself, with a known cost.
  const filler = `a: albums(first: 100) { nodes { ${'id '.repeat(QUERY_LIMITS.cost / 100)} } }`;
  const fillerCost = 1 + 100 * (1 + QUERY_LIMITS.cost / 100);
  const [error] = validate(schema, parse(`{ ${filler} ${query} } ${fragments}`), [queryLimits]);
  if (!(error?.originalError instanceof StowageError)) throw new Error('the operation is within the limits');
  return Number(/this one has (\d+)\./.exec(error.message)![1]) - fillerCost;
}

describe('the cost of lists', () => {
  it.each([
    ['album { id }', 2],
    ['album { items { id } }', 1 + 1 + 100],
    ['album { items { id parts { id } } }', 1 + 1 + 100 * (1 + 1 + 7)],
    ['album { details { id } }', 1 + 1 + 1],
    ['album { names }', 1 + 1],
    ['albums(first: 10) { nodes { id } }', 1 + 10 * 2],
    ['albums(first: 10) { nodes { id } edges { node { id } } }', 1 + 10 * (2 + 3)],
    ['albums(first: 10) { nodes { items { id } } }', 1 + 10 * (1 + 1 + 100)],
    ['albums { nodes { related(first: 5) { nodes { id } } } }', 1 + 20 * (1 + 1 + 5 * 2)],
    ['tags(first: 30) { name }', 1 + 30],
  ])('of { %s } is %d', (query, cost) => {
    expect(costOf(query)).toBe(cost);
    expect(costOf('...A', `fragment A on Query { ${query} }`)).toBe(cost);
  });
});

describe('unlimitedLists', () => {
  it('accepts lists with the argument first or a maximum', () => {
    expect(unlimitedLists(schema)).toEqual([]);
    expect(verifyLists(schema)).toBe(schema);
  });

  it.each([
    [
      'a list of objects',
      'type Query { items: [Item!]! } type Item { id: ID }',
      {},
      'Query.items is a list and needs',
    ],
    ['a list of scalars', 'type Query { names: [String] }', {}, 'Query.names is a list and needs'],
    [
      'a list of an interface',
      'type Query { node: Node } interface Node { tags: [String!] }',
      {},
      'Node.tags is a list and needs',
    ],
    [
      'a list of lists',
      'type Query { rows: [[Int!]!]! }',
      { 'Query.rows': { max: 5, counted: 5 } },
      'Query.rows is a list of lists.',
    ],
    [
      'a connection without paging',
      'type Query { all: Pages! } type Pages { nodes: [Int!]! }',
      { 'Pages.nodes': 'page' },
      'Query.all returns a connection and needs the argument first.',
    ],
  ])('refuses %s', (_, sdl, sizes, problem) => {
    const refused = schemaOf(sdl, sizes);
    expect(unlimitedLists(refused)).toEqual([expect.stringContaining(problem)]);
    expect(() => verifyLists(refused)).toThrow(problem);
  });
});

describe('@MaxItems', () => {
  it.each([0, -1, 1.5, NaN, Infinity])('refuses %d', (max) => {
    expect(() => MaxItems(max)).toThrow('@MaxItems needs whole numbers');
    expect(() => MaxItems(5, { counted: max })).toThrow('@MaxItems needs whole numbers');
  });
});
