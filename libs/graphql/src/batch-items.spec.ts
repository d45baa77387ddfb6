import type { GraphQLRequestContext } from '@apollo/server';
import { describe, expect, it } from '@jest/globals';
import {
  buildSchema,
  getOperationAST,
  GraphQLNonNull,
  GraphQLList,
  GraphQLString,
  parse,
  validate,
} from 'graphql';
import { batchItems } from './batch-items.js';
import type { GraphQLContext } from './context.js';
import { faultsOf } from './input-paths.js';

const schema = buildSchema(`
  input Item { name: String! }
  type Query { send(items: [Item!]!): Int }
  type Mutation { send(items: [Item!]!): Int other(items: [Item!]!): Int }
`);

/**
 * Runs the plugin on an operation; returns the validation errors that remain and the variables as the plugin left them.
 */
async function runPlugin(source: string, variables: Record<string, unknown> = {}) {
  const document = parse(source);
  const request = { schema, document, source, request: { variables }, contextValue: {} };
  const context = { ...request, operation: getOperationAST(document) } as unknown;
  const listener = await batchItems({ field: 'send', argument: 'items', most: 2 }).requestDidStart!(
    context as GraphQLRequestContext<GraphQLContext>,
  );
  await listener!.validationDidStart!(context as never);
  await listener!.didResolveOperation!(context as never);
  return { errors: validate(schema, document).length, variables };
}

describe('batchItems', () => {
  it('replaces invalid items so that the document is valid', async () => {
    expect(await runPlugin('mutation { send(items: [{ name: 1 }, { name: "a" }]) }')).toMatchObject({
      errors: 0,
    });
    const { variables } = await runPlugin('mutation ($items: [Item!]!) { send(items: $items) }', {
      items: [{ name: 1 }, { name: 'a' }],
    });
    expect(variables).toEqual({ items: [{ name: '' }, { name: 'a' }] });
  });

  it.each([
    [
      'another field',
      'mutation ($items: [Item!]!) { other(items: $items) send(items: []) }',
      'mutation { other(items: [{ name: 1 }]) send(items: []) }',
    ],
    [
      'a field of that name elsewhere',
      'query ($items: [Item!]!) { send(items: $items) }',
      '{ send(items: [{ name: 1 }]) }',
    ],
  ])('leaves %s unchanged', async (_, byVariable, written) => {
    const items = [{ name: 1 }];
    expect(await runPlugin(byVariable, { items })).toEqual({
      errors: 0,
      variables: { items: [{ name: 1 }] },
    });
    expect(await runPlugin(written)).toMatchObject({ errors: 1 });
  });
});

it('stops at the limit on the number of faults', () => {
  const type = new GraphQLList(new GraphQLNonNull(GraphQLString));
  const values = Array.from({ length: 10_000 }, (_, index) => index);
  expect(faultsOf(values, type)).toHaveLength(50);
  expect(faultsOf(values, type, 3).map(({ path }) => path)).toEqual([[0], [1], [2]]);
  expect(faultsOf(['a'], type)).toEqual([]);
});
