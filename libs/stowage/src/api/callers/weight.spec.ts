import { describe, expect, it } from '@jest/globals';
import { buildSchema, execute, type GraphQLResolveInfo, parse, validate } from 'graphql';
import { queryLimits } from '#libs/graphql';
import { weightOf } from './weight.js';

const schema = buildSchema(`
  type Item { id: ID, name: String, parts(first: Int): [Item] }
  type Page { nodes: [Item], total: Int }
  type Query { viewer: Item, item(id: ID): Item, items(first: Int, last: Int): Page, byIds(ids: [ID]): [Item] }
  type Mutation { change(id: ID): Item, addAll(inputs: [Int]): [Item], dropAll(ids: [ID]): [Item] }
`);

/** Weights of the root fields of an operation. */
async function weightsOf(query: string, variableValues: Record<string, unknown> = {}): Promise<number[]> {
  const document = parse(query);
  expect(validate(schema, document, [queryLimits])).toEqual([]);
  const weights: number[] = [];
  await execute({
    schema,
    document,
    variableValues,
    fieldResolver: (_: unknown, args: Record<string, unknown>, __: unknown, info: GraphQLResolveInfo) => {
      weights.push(weightOf(info, args));
      return null;
    },
  });
  return weights;
}

const fields = (count: number) => Array(count).fill('name').join(' ');
const ids = (count: number) => Array.from({ length: count }, (_, index) => String(index));

describe('weightOf', () => {
  it.each<[query: string, variables: object, weights: number[]]>([
    ['{ viewer { id } }', {}, [1]],
    ['mutation { change(id: "x") { id } }', {}, [1]],
    ['{ items(first: 1) { nodes { id } } }', {}, [1]],
    ['{ items { nodes { id name } } }', {}, [1]],
    ['{ items(first: 100) { nodes { id } } }', {}, [3]],
    [`{ items(first: 100) { nodes { ${fields(29)} } } }`, {}, [31]],
    [`{ items(last: 100) { nodes { ${fields(29)} } } }`, {}, [31]],
    [`query ($n: Int) { items(first: $n) { nodes { ${fields(29)} } } }`, { n: 10 }, [4]],
    [`query ($n: Int) { items(first: $n) { nodes { ${fields(29)} } } }`, {}, [7]],
    [`query ($n: Int) { items(first: $n, last: 50) { nodes { ${fields(29)} } } }`, { n: null }, [16]],
    ['{ items(first: 10) { nodes { parts(first: 100) { id } } } }', {}, [11]],
    [
      `{ ...F } fragment F on Query { items(first: 100) { nodes { ${fields(9)} } } viewer { id } }`,
      {},
      [11, 1],
    ],
    ['{ items(first: 100) { total } items(first: 100) { nodes { id name } } }', {}, [5]],
    ['query ($ids: [ID]) { byIds(ids: $ids) { id name } }', { ids: ids(100) }, [3]],
    ['mutation ($list: [Int]) { addAll(inputs: $list) { id } }', { list: [] }, [1]],
    ['mutation ($list: [Int]) { addAll(inputs: $list) { id } }', { list: [1] }, [1]],
    ['mutation ($list: [Int]) { addAll(inputs: $list) { id } }', { list: Array(100).fill(1) }, [100]],
    ['mutation ($ids: [ID]) { dropAll(ids: $ids) { id } }', { ids: ids(40) }, [40]],
  ])('weighs %s with %j', async (query, variables, weights) => {
    expect(await weightsOf(query, variables as Record<string, unknown>)).toEqual(weights);
  });

  it.each([-5, 0, 101, 2 ** 31 - 1])('limits the weight of a page of %d', async (n) => {
    const query = `query ($n: Int) { items(first: $n) { nodes { ${fields(90)} } } }`;
    const [weight] = await weightsOf(query, { n });
    expect(weight).toBe(n > 0 ? 92 : 19);
  });

  it('limits the weight of longer lists than a resolver accepts', async () => {
    const list = Array(100_000).fill(1);
    expect(await weightsOf('mutation ($list: [Int]) { addAll(inputs: $list) { id } }', { list })).toEqual([
      100,
    ]);
    const many = ids(100_000);
    const query = `query ($ids: [ID]) { byIds(ids: $ids) { ${fields(500)} } }`;
    expect(await weightsOf(query, { ids: many })).toEqual([100]);
  });
});
