import {
  type ASTVisitor,
  type FieldNode,
  getNamedType,
  GraphQLError,
  type GraphQLField,
  type GraphQLNamedType,
  isInterfaceType,
  isObjectType,
  Kind,
  type OperationDefinitionNode,
  OperationTypeNode,
  type SelectionNode,
  type ValidationContext,
} from 'graphql';
import { invalid } from '#libs/domain';
import { countedItems, isPaged } from './list-sizes.js';
import { DEFAULT_PAGE, MAX_PAGE } from './paging.js';
import { recordRootCost } from './root-costs.js';

/** Size of one operation, with fragments expanded wherever they are used. */
export interface QueryMeasure {
  /** Nesting of fields. The standard introspection query has 15. */
  readonly depth: number;
  readonly rootFields: number;
  readonly aliases: number;
  readonly directives: number;
  /**
   * One for each field, multiplied inside a list by its number of items: inside a paged list the given page size, 20 if none is
   * given, 100 for a variable; inside any other list the number that {@link countedItems} declares.
   */
  readonly cost: number;
}

/** Limits of the public API. */
export const QUERY_LIMITS: QueryMeasure = {
  depth: 15,
  rootFields: 30,
  aliases: 30,
  directives: 30,
  cost: 10_000,
};

/** Limit for the parser, so that a huge document is never measured. The standard introspection query has 184 tokens. */
export const MAX_TOKENS = 2_000;

const REFUSALS: Readonly<Record<keyof QueryMeasure, { reason: string; unit: string }>> = {
  depth: { reason: 'QUERY_TOO_DEEP', unit: 'fields deep' },
  rootFields: { reason: 'TOO_MANY_ROOT_FIELDS', unit: 'fields at its root' },
  aliases: { reason: 'TOO_MANY_ALIASES', unit: 'aliases' },
  directives: { reason: 'TOO_MANY_DIRECTIVES', unit: 'directives' },
  cost: { reason: 'QUERY_TOO_COMPLEX', unit: 'fields, counted once per entry of a list' },
};

/**
 * GraphQL validation rule that rejects an operation beyond a limit as `invalid`, with a separate reason for each limit. Also
 * records what {@link rootCost} needs.
 */
export function queryLimits(context: ValidationContext): ASTVisitor {
  const meter = new Meter(context);
  return {
    OperationDefinition(operation) {
      const measure = meter.measure(operation);
      for (const limit of Object.keys(QUERY_LIMITS) as (keyof QueryMeasure)[]) {
        if (measure[limit] <= QUERY_LIMITS[limit]) continue;
        const { reason, unit } = REFUSALS[limit];
        const message = `An operation may have at most ${QUERY_LIMITS[limit]} ${unit}; this one has ${measure[limit]}.`;
        const originalError = invalid(reason, message);
        context.reportError(new GraphQLError(message, { nodes: operation, originalError }));
      }
    },
  };
}

const ZERO: QueryMeasure = { depth: 0, rootFields: 0, aliases: 0, directives: 0, cost: 0 };

const combine = (a: QueryMeasure, b: QueryMeasure): QueryMeasure => ({
  depth: Math.max(a.depth, b.depth),
  rootFields: a.rootFields + b.rootFields,
  aliases: a.aliases + b.aliases,
  directives: a.directives + b.directives,
  cost: a.cost + b.cost,
});

/** Measures each fragment once, however often and however deep it is used. */
class Meter {
  private readonly measured = new Map<string, QueryMeasure>();
  private readonly roots: ReadonlySet<GraphQLNamedType | null | undefined>;

  constructor(private readonly context: ValidationContext) {
    const schema = context.getSchema();
    this.roots = new Set(Object.values(OperationTypeNode).flatMap((type) => schema.getRootType(type) ?? []));
  }

  measure(operation: OperationDefinitionNode): QueryMeasure {
    return this.inside(operation, this.context.getSchema().getRootType(operation.operation));
  }

  /** Measures the directives and selections of a node. */
  private inside(
    { directives = [], selectionSet }: Pick<FieldNode, 'directives' | 'selectionSet'>,
    type?: GraphQLNamedType | null,
  ): QueryMeasure {
    const selections = selectionSet?.selections ?? [];
    return selections
      .map((selection) => this.selection(selection, type))
      .reduce(combine, { ...ZERO, directives: directives.length });
  }

  private selection(node: SelectionNode, type?: GraphQLNamedType | null): QueryMeasure {
    switch (node.kind) {
      case Kind.FIELD:
        return this.field(node, type);
      case Kind.INLINE_FRAGMENT:
        return this.inside(node, this.typeOf(node.typeCondition) ?? type);
      case Kind.FRAGMENT_SPREAD:
        return combine(this.inside(node), this.fragment(node.name.value));
    }
  }

  private field(node: FieldNode, parent?: GraphQLNamedType | null): QueryMeasure {
    const field =
      isObjectType(parent) || isInterfaceType(parent) ? parent.getFields()[node.name.value] : undefined;
    const within = this.inside(node, field && getNamedType(field.type));
    if (this.roots.has(parent)) recordRootCost(node, { perItem: within.cost, field });
    return {
      depth: within.depth + 1,
      rootFields: 1,
      aliases: within.aliases + (node.alias === undefined ? 0 : 1),
      directives: within.directives,
      cost: 1 + within.cost * itemsOf(field, node),
    };
  }

  private fragment(name: string): QueryMeasure {
    const known = this.measured.get(name);
    if (known !== undefined) return known;
    // Stops the recursion of a fragment that contains itself; a rule of graphql-js rejects that document.
    this.measured.set(name, ZERO);
    const { selectionSet, typeCondition } = this.context.getFragment(name) ?? {};
    const measure = this.inside({ selectionSet }, this.typeOf(typeCondition));
    this.measured.set(name, measure);
    return measure;
  }

  private typeOf(condition: { readonly name: { readonly value: string } } | undefined) {
    return condition && this.context.getSchema().getType(condition.name.value);
  }
}

function itemsOf(field: GraphQLField<unknown, unknown> | undefined, node: FieldNode): number {
  if (field === undefined) return 1;
  return isPaged(field) ? pageSize(node) : countedItems(field);
}

/** At most {@link MAX_PAGE}: `parsePage` rejects a larger page with a more precise message. */
function pageSize(node: FieldNode): number {
  const given = node.arguments?.filter(({ name }) => name.value === 'first' || name.value === 'last') ?? [];
  const sizes = given.map(({ value }) => {
    if (value.kind === Kind.VARIABLE) return MAX_PAGE;
    return value.kind === Kind.INT ? Number(value.value) : 0;
  });
  const size = Math.max(0, ...sizes);
  return Math.min(size === 0 ? DEFAULT_PAGE : size, MAX_PAGE);
}
