import type { ApolloServerPlugin } from '@apollo/server';
import { createParamDecorator, type ExecutionContext } from '@nestjs/common';
import { GqlExecutionContext } from '@nestjs/graphql';
import {
  type DocumentNode,
  type FieldNode,
  getNamedType,
  getNullableType,
  type GraphQLError,
  type GraphQLInputType,
  type GraphQLResolveInfo,
  type GraphQLSchema,
  isEnumType,
  isInputObjectType,
  isInputType,
  isListType,
  isRequiredInputField,
  isScalarType,
  Kind,
  type OperationDefinitionNode,
  typeFromAST,
  validate,
  ValuesOfCorrectTypeRule,
} from 'graphql';
import { invalid, StowageError } from '#libs/domain';
import type { GraphQLContext } from './context.js';
import { faultsOf, type InputPath, type InputSite, inputSites, variableSites } from './input-paths.js';

/** A mutation with a list of inputs, each of which is accepted or refused on its own. */
export interface Batch {
  readonly field: string;
  readonly argument: string;
  /** Maximum number of items in one call. A longer list is not examined, because the resolver rejects it as a whole. */
  readonly most: number;
}

type Refusals = Map<FieldNode, ReadonlyMap<number, StowageError>>;

/** A valid value of each scalar, which replaces an invalid one. The resolver never accepts an item with an empty name. */
const SAMPLES: Readonly<Record<string, string>> = {
  String: '',
  ID: '',
  ByteSize: '0',
  Sha256: '0'.repeat(64),
  DateTime: '1970-01-01T00:00:00Z',
};

const NONE: ReadonlyMap<number, StowageError> = new Map();
const refusals = new WeakMap<GraphQLContext, Refusals>();

/**
 * Parameter decorator: the refusals of the batch items whose values a scalar does not accept, by item index. The
 * resolver must refuse these items whatever the argument contains, because the argument holds sample values at these
 * indexes.
 */
export const RefusedItems = createParamDecorator((_: unknown, execution: ExecutionContext) => {
  const graphql = GqlExecutionContext.create(execution);
  const { fieldNodes } = graphql.getInfo<GraphQLResolveInfo>();
  return refusals.get(graphql.getContext<GraphQLContext>())?.get(fieldNodes[0]!) ?? NONE;
});

/**
 * Path of the invalid value in a batch. An error of an item has the path of a single request, which begins with `input`.
 * @example pathInBatch(1, ['input', 'filename']); // ['inputs', '1', 'filename']
 */
export function pathInBatch(index: number, [root, ...rest]: InputPath): string[] {
  return (root === 'input' ? ['inputs', index, ...rest] : [root ?? 'inputs', ...rest]).map(String);
}

/**
 * Apollo plugin that refuses items of a batch one by one where a scalar does not accept their values. GraphQL itself
 * would reject the whole request (https://spec.graphql.org/October2021/#sec-Scalars.Input-Coercion). The plugin
 * replaces an invalid item by a sample value of the right type before the document is validated and its variables are
 * coerced; the resolver receives the refusal through {@link RefusedItems}. An item with any other fault (an unknown
 * enum value, an unknown or missing field) still fails the request.
 */
export function batchItems(batch: Batch): ApolloServerPlugin<GraphQLContext> {
  /**
   * Apollo caches valid documents, so the refusals of a document's own literals apply to each later request with the
   * document.
   */
  const literalRefusals = new WeakMap<DocumentNode, Refusals>();
  const variableSitesIn = new WeakMap<DocumentNode, Map<string, InputSite[]>>();

  return {
    requestDidStart: () =>
      Promise.resolve({
        validationDidStart: ({ source, schema, document }) => {
          if (source.includes(batch.field)) {
            literalRefusals.set(document, refuseLiterals(batch, schema, document));
          }
          return Promise.resolve();
        },
        didResolveOperation: ({ source, schema, document, operation, request, contextValue }) => {
          if (!source.includes(batch.field) || operation === undefined) return Promise.resolve();
          const refused = new Map(literalRefusals.get(document));
          if (request.variables !== undefined) {
            const sitesByVariable = variableSitesIn.get(document) ?? variableSites(schema, document);
            variableSitesIn.set(document, sitesByVariable);
            refuseVariables({ batch, schema, operation, sitesByVariable, refused }, request.variables);
          }
          // An operation may contain batches of several mutations, each of which has a plugin of its own.
          refusals.set(contextValue, new Map([...(refusals.get(contextValue) ?? []), ...refused]));
          return Promise.resolve();
        },
      }),
  };
}

const isItemOf = ({ field, argument }: Batch, site: InputSite) =>
  site.parent === 'Mutation' && site.field?.name.value === field && site.path[0] === argument;

/**
 * The path of a part of an item. GraphQL coerces a value that is not a list to a list of one, so the index is 0 there.
 */
const itemPath = ([argument, ...steps]: InputPath): InputPath =>
  typeof steps[0] === 'number' ? [argument!, ...steps] : [argument!, 0, ...steps];

/** Changes the document in place. The document was parsed for this request, and resolvers receive these field nodes. */
function refuseLiterals(batch: Batch, schema: GraphQLSchema, document: DocumentNode): Refusals {
  const refused: Refusals = new Map();
  const errors = validate(schema, document, [ValuesOfCorrectTypeRule], { maxErrors: Infinity });
  const faults = new Map(errors.flatMap((error) => (error.nodes?.[0] ? [[error.nodes[0], error]] : [])));
  if (faults.size === 0) return refused;
  const sites = [...inputSites(schema, document, (node) => faults.has(node))];
  const items = Map.groupBy(
    sites.filter(([, site]) => isItemOf(batch, site)),
    ([, site]) => site.field!,
  );
  for (const [field, ofField] of items) {
    for (const ofItem of Map.groupBy(ofField, ([, { path }]) => itemPath(path)[1]).values()) {
      const named = ofItem.map(([node, { type }]) => ({ node, type: type && getNamedType(type) }));
      const isScalar = named.every(
        ({ node: { kind }, type }) => isScalarType(type) && kind !== Kind.NULL && kind !== Kind.OBJECT_FIELD,
      );
      if (!isScalar) continue;
      const [[node, { path }]] = ofItem as [(typeof ofItem)[number]];
      addRefusal(refused, field, faults.get(node)!, path);
      for (const each of named) {
        Object.assign(each.node, { kind: Kind.STRING, value: SAMPLES[each.type!.name] ?? '', block: false });
      }
    }
  }
  return refused;
}

interface VariableBatch {
  readonly batch: Batch;
  readonly schema: GraphQLSchema;
  readonly operation: OperationDefinitionNode;
  readonly sitesByVariable: ReadonlyMap<string, readonly InputSite[]>;
  readonly refused: Refusals;
}

/** Replaces the items, or the parts of items, that are invalid in variables by sample values. */
function refuseVariables(
  { batch, schema, operation, sitesByVariable, refused }: VariableBatch,
  variables: Record<string, unknown>,
): void {
  for (const { variable, type } of operation.variableDefinitions ?? []) {
    const name = variable.name.value;
    const value = Object.hasOwn(variables, name) ? variables[name] : undefined;
    const sites = sitesByVariable.get(name) ?? [];
    const [site] = sites;
    const expected = typeFromAST(schema, type);
    // A variable that is also used outside the batch fails the request as usual.
    if (!isInputType(expected) || !sites.every((each) => isItemOf(batch, each))) continue;
    if (value === undefined || value === null || site === undefined) continue;
    const acceptable = (part: unknown, partType: GraphQLInputType, at: InputPath) => {
      const faults = faultsOf(part, partType);
      const [fault] = faults;
      if (fault === undefined || !faults.every(({ isScalar }) => isScalar)) return part;
      for (const { field, path } of sites) {
        addRefusal(refused, field!, fault.error, [...path, ...at, ...fault.path]);
      }
      return sampleOf(partType);
    };
    const list = getNullableType(expected);
    const items: readonly unknown[] = Array.isArray(value) ? value : [value];
    const isPartOfList = site.path.length > 1;
    if (isPartOfList) {
      variables[name] = acceptable(value, expected, []);
    } else if (isListType(list) && items.length <= batch.most) {
      variables[name] = items.map((item, index) => acceptable(item, list.ofType, [index]));
    }
  }
}

/** Keeps the first refusal of each item. Changes no map of items: a cached document's refusals are shared. */
function addRefusal(refused: Refusals, field: FieldNode, error: GraphQLError, at: InputPath): void {
  const path = itemPath(at);
  const index = path[1] as number;
  const items = refused.get(field) ?? NONE;
  if (!items.has(index)) refused.set(field, new Map(items).set(index, refusalOf(error, path)));
}

function refusalOf(error: GraphQLError, path: InputPath): StowageError {
  const { originalError } = error;
  const reason = originalError instanceof StowageError ? originalError.reason : 'VALUE_INVALID';
  const { message } = originalError ?? error;
  const [argument, ...steps] = path;
  const location = steps.map((step) => (typeof step === 'number' ? `[${step}]` : `.${step}`)).join('');
  return invalid(reason, `${argument}${location}: ${message}`, path);
}

/** The smallest value that the type accepts. */
function sampleOf(type: GraphQLInputType): unknown {
  const at = getNullableType(type);
  if (isListType(at)) return [];
  if (isEnumType(at)) return at.getValues()[0]!.name;
  if (!isInputObjectType(at)) return SAMPLES[at.name];
  const fields = Object.values(at.getFields()).filter(isRequiredInputField);
  return Object.fromEntries(fields.map((field) => [field.name, sampleOf(field.type)]));
}
