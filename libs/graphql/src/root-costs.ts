import type { FieldNode, GraphQLField } from 'graphql';
import { countedItems, isPaged } from './list-sizes.js';
import { DEFAULT_PAGE, MAX_PAGE } from './paging.js';

/** Cost of a field in a root type, by {@link QueryMeasure}. */
interface RootCost {
  /** Cost of the selections for one item. */
  readonly perItem: number;
  readonly field: GraphQLField<unknown, unknown> | undefined;
}

/** An operation is measured when it is validated, which happens once for a document that Apollo has cached. */
const COSTS = new WeakMap<FieldNode, RootCost>();

/** Records the cost of a root field that was measured. */
export const recordRootCost = (node: FieldNode, cost: RootCost) => void COSTS.set(node, cost);

/** Number of items in the argument `inputs` or `ids` of a root field, undefined without such a list. */
export function listedItems({ inputs, ids }: Readonly<Record<string, unknown>>): number | undefined {
  const list = inputs ?? ids;
  return Array.isArray(list) ? Math.min(list.length, MAX_PAGE) : undefined;
}

/**
 * Cost of a root field of a validated operation with these arguments: one, and the cost of its selections for each item. The
 * number of items is that of the argument `inputs` or `ids`, else the requested size of the page, else the one that
 * {@link MaxItems} declares. Pages and lists further below count as in the limit of an operation, and no number of items exceeds
 * {@link MAX_PAGE}.
 */
export function rootCost(nodes: readonly FieldNode[], args: Readonly<Record<string, unknown>>): number {
  const listed = listedItems(args);
  let cost = 0;
  for (const node of nodes) {
    const { perItem, field } = COSTS.get(node) ?? { perItem: 0, field: undefined };
    const items = listed ?? (field === undefined ? 1 : isPaged(field) ? pageSize(args) : countedItems(field));
    cost += 1 + perItem * items;
  }
  return cost;
}

/** A resolver rejects a size out of bounds. */
function pageSize({ first, last }: Readonly<Record<string, unknown>>): number {
  const size = first ?? last;
  return typeof size === 'number' && size > 0 ? Math.min(size, MAX_PAGE) : DEFAULT_PAGE;
}
