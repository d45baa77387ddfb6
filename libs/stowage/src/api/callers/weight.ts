import { type GraphQLResolveInfo, OperationTypeNode } from 'graphql';
import { listedItems, rootCost } from '#libs/graphql';

const COST_PER_WEIGHT = 100;
/** An operation has at most a hundred times this cost. */
const MAX_WEIGHT = 100;

/**
 * Rate limit weight of a root field: a hundredth of its cost, rounded up, and at least the number of items in the list of inputs or ids of a
 * mutation; 1 to 100.
 */
export function weightOf(
  { fieldNodes, operation }: Pick<GraphQLResolveInfo, 'fieldNodes' | 'operation'>,
  args: Readonly<Record<string, unknown>>,
): number {
  const changes = operation.operation === OperationTypeNode.MUTATION ? (listedItems(args) ?? 1) : 1;
  return Math.min(Math.max(1, changes, Math.ceil(rootCost(fieldNodes, args) / COST_PER_WEIGHT)), MAX_WEIGHT);
}
