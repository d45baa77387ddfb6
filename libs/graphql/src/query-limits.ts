import {
  type FieldNode,
  type FragmentDefinitionNode,
  getNamedType,
  GraphQLError,
  type GraphQLNamedType,
  type GraphQLSchema,
  isInterfaceType,
  isObjectType,
  Kind,
  type OperationDefinitionNode,
  type SelectionSetNode,
  type ValidationRule,
} from 'graphql';
import { invalid } from '#libs/domain';
import { DEFAULT_PAGE, MAX_PAGE } from './paging.js';

/** Size of one operation, with fragments expanded wherever they are used. */
export interface QueryMeasure {
  /** Nesting of fields. The standard introspection query has 15. */
  readonly depth: number;
  readonly rootFields: number;
  readonly aliases: number;
  readonly directives: number;
  /**
   * One for each field, multiplied by the page size inside a paged list: the given number, 20 if none is given, 100 for a
   * variable.
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
  cost: { reason: 'QUERY_TOO_COMPLEX', unit: 'fields, counted once per entry of a page' },
};

/**
 * GraphQL validation rule that rejects an operation beyond a limit as `invalid`, with a separate reason for each limit.
 */
export const queryLimits =
  (limits: QueryMeasure = QUERY_LIMITS): ValidationRule =>
  (context) => {
    const meter = new Meter(context.getSchema(), (name) => context.getFragment(name) ?? undefined);
    return {
      OperationDefinition(operation) {
        const measure = meter.measure(operation);
        for (const limit of Object.keys(limits) as (keyof QueryMeasure)[]) {
          if (measure[limit] <= limits[limit]) continue;
          const { reason, unit } = REFUSALS[limit];
          const message = `An operation may have at most ${limits[limit]} ${unit}; this one has ${measure[limit]}.`;
          const originalError = invalid(reason, message);
          context.reportError(new GraphQLError(message, { nodes: operation, originalError }));
        }
      },
    };
  };

type Fragments = (name: string) => FragmentDefinitionNode | undefined;

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

  constructor(
    private readonly schema: GraphQLSchema,
    private readonly fragments: Fragments,
  ) {}

  measure(operation: OperationDefinitionNode): QueryMeasure {
    const root = this.schema.getRootType(operation.operation);
    const within = this.inside(operation.selectionSet, root ?? undefined);
    return { ...within, directives: within.directives + (operation.directives?.length ?? 0) };
  }

  private inside(set: SelectionSetNode | undefined, type: GraphQLNamedType | undefined): QueryMeasure {
    let sum = ZERO;
    for (const selection of set?.selections ?? []) {
      const directives = selection.directives?.length ?? 0;
      if (directives > 0) sum = { ...sum, directives: sum.directives + directives };
      switch (selection.kind) {
        case Kind.FIELD:
          sum = combine(sum, this.field(selection, type));
          break;
        case Kind.INLINE_FRAGMENT:
          sum = combine(
            sum,
            this.inside(selection.selectionSet, this.typeOf(selection.typeCondition) ?? type),
          );
          break;
        case Kind.FRAGMENT_SPREAD:
          sum = combine(sum, this.fragment(selection.name.value));
      }
    }
    return sum;
  }

  private field(node: FieldNode, parent: GraphQLNamedType | undefined): QueryMeasure {
    const field =
      isObjectType(parent) || isInterfaceType(parent) ? parent.getFields()[node.name.value] : undefined;
    const within = this.inside(node.selectionSet, field && getNamedType(field.type));
    const isPaged = field?.args.some(({ name }) => name === 'first') ?? false;
    return {
      depth: within.depth + 1,
      rootFields: 1,
      aliases: within.aliases + (node.alias === undefined ? 0 : 1),
      directives: within.directives,
      cost: 1 + within.cost * (isPaged ? pageSize(node) : 1),
    };
  }

  private fragment(name: string): QueryMeasure {
    const known = this.measured.get(name);
    if (known !== undefined) return known;
    // Stops the recursion of a fragment that contains itself; a rule of graphql-js rejects that document.
    this.measured.set(name, ZERO);
    const definition = this.fragments(name);
    const measure = this.inside(definition?.selectionSet, this.typeOf(definition?.typeCondition));
    this.measured.set(name, measure);
    return measure;
  }

  private typeOf(condition: { readonly name: { readonly value: string } } | undefined) {
    return condition && this.schema.getType(condition.name.value);
  }
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
