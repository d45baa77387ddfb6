import type { ApolloServerPlugin, GraphQLRequestContext } from '@apollo/server';
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
  /** Items of one call; a longer list is not looked into, as it is refused as a whole. */
  readonly most: number;
}

type Refusals = Map<FieldNode, Map<number, StowageError>>;

/** A value that each scalar takes, to stand in for one that it does not. Items whose name is empty are never accepted. */
const SAMPLES: Readonly<Record<string, string>> = {
  String: '',
  ByteSize: '0',
  Sha256: '0'.repeat(64),
  DateTime: '1970-01-01T00:00:00Z',
};

const NONE: ReadonlyMap<number, StowageError> = new Map();
const refusals = new WeakMap<GraphQLContext, Refusals>();

/**
 * Items of a batch whose values a scalar does not take, by their indexes: to be refused, whatever the argument holds in their
 * place.
 */
export const RefusedItems = createParamDecorator((_: unknown, execution: ExecutionContext) => {
  const graphql = GqlExecutionContext.create(execution);
  const { fieldNodes } = graphql.getInfo<GraphQLResolveInfo>();
  return refusals.get(graphql.getContext<GraphQLContext>())?.get(fieldNodes[0]!) ?? NONE;
});

/**
 * Lets the items of a batch be refused one by one for values that a scalar does not take, which GraphQL would refuse the whole
 * request for (https://spec.graphql.org/October2021/#sec-Scalars.Input-Coercion). Such an item gets a value of the right type
 * before the document is validated and its variables are coerced, and the resolver gets the refusal ({@link RefusedItems}). An
 * item with another fault, an enum or a field that is unknown or missing, still has the request refused.
 */
export function batchItems(batch: Batch): ApolloServerPlugin<GraphQLContext> {
  /** Documents are kept once they are valid: what was refused of their own values holds for each request with them. */
  const inDocuments = new WeakMap<DocumentNode, Refusals>();
  const placesIn = new WeakMap<DocumentNode, Map<string, InputSite[]>>();
  const isBatched = ({ source }: GraphQLRequestContext<GraphQLContext>) => source?.includes(batch.field);

  return {
    requestDidStart: () =>
      Promise.resolve({
        validationDidStart: (request) => {
          const { schema, document } = request;
          if (isBatched(request)) inDocuments.set(document, refuseLiterals(batch, schema, document));
          return Promise.resolve();
        },
        didResolveOperation: ({ request, contextValue, ...rest }) => {
          const { schema, document, operation } = rest;
          if (!isBatched({ ...rest, request, contextValue }) || operation === undefined)
            return Promise.resolve();
          const refused = new Map(inDocuments.get(document));
          if (request.variables !== undefined) {
            const places = placesIn.get(document) ?? variableSites(schema, document);
            placesIn.set(document, places);
            refuseVariables({ batch, schema, operation, places, refused }, request.variables);
          }
          refusals.set(contextValue, refused);
          return Promise.resolve();
        },
      }),
  };
}

const isItemOf = ({ field, argument }: Batch, site: InputSite) =>
  site.parent === 'Mutation' && site.field?.name.value === field && site.path[0] === argument;

/** The path of a part of an item. A value that is no list counts as a list of it. */
const itemPath = ([argument, ...steps]: InputPath): InputPath =>
  typeof steps[0] === 'number' ? [argument!, ...steps] : [argument!, 0, ...steps];
const indexOf = ({ path }: InputSite) => itemPath(path)[1] as number;

/** The document was parsed for this request and is changed in place: fields stay the nodes that resolvers are told of. */
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
    for (const [index, ofItem] of Map.groupBy(ofField, ([, site]) => indexOf(site))) {
      const named = ofItem.map(([node, { type }]) => ({ node, type: type && getNamedType(type) }));
      const isScalar = named.every(
        ({ node: { kind }, type }) => isScalarType(type) && kind !== Kind.NULL && kind !== Kind.OBJECT_FIELD,
      );
      if (!isScalar) continue;
      const [[node, { path }]] = ofItem as [(typeof ofItem)[number]];
      refuse(refused, field, index, refusalOf(faults.get(node)!, path));
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
  readonly places: ReadonlyMap<string, readonly InputSite[]>;
  readonly refused: Refusals;
}

/** Puts values that pass in the place of items, or of parts of items, that do not. */
function refuseVariables(
  { batch, schema, operation, places, refused }: VariableBatch,
  variables: Record<string, unknown>,
): void {
  for (const { variable, type } of operation.variableDefinitions ?? []) {
    const name = variable.name.value;
    const value = Object.hasOwn(variables, name) ? variables[name] : undefined;
    const sites = places.get(name) ?? [];
    const expected = typeFromAST(schema, type);
    // A variable that goes elsewhere, too, is the request's.
    if (!isInputType(expected) || !sites.every((site) => isItemOf(batch, site))) continue;
    if (value === undefined || value === null || sites.length === 0) continue;
    const note = (error: GraphQLError, path: InputPath, index: (site: InputSite) => number) => {
      for (const site of sites)
        refuse(refused, site.field!, index(site), refusalOf(error, [...site.path, ...path]));
    };
    const isList = sites[0]!.path.length === 1;
    if (!isList) {
      const fault = firstIfAllScalar(value, expected);
      if (fault === undefined) continue;
      note(fault.error, fault.path, indexOf);
      variables[name] = sampleOf(expected);
      continue;
    }
    const list = getNullableType(expected);
    const items: readonly unknown[] = Array.isArray(value) ? value : [value];
    if (!isListType(list) || items.length > batch.most) continue;
    variables[name] = items.map((item, index) => {
      const fault = firstIfAllScalar(item, list.ofType);
      if (fault === undefined) return item;
      note(fault.error, [index, ...fault.path], () => index);
      return sampleOf(list.ofType);
    });
  }
}

function firstIfAllScalar(value: unknown, type: GraphQLInputType) {
  const faults = faultsOf(value, type);
  return faults.every(({ isScalar }) => isScalar) ? faults[0] : undefined;
}

/** The first is told. */
function refuse(refused: Refusals, field: FieldNode, index: number, error: StowageError): void {
  const items = refused.get(field) ?? new Map<number, StowageError>();
  if (!items.has(index)) items.set(index, error);
  refused.set(field, items);
}

function refusalOf(error: GraphQLError, at: InputPath): StowageError {
  const path = itemPath(at);
  const { originalError } = error;
  const reason = originalError instanceof StowageError ? originalError.reason : 'VALUE_INVALID';
  const { message } = originalError ?? error;
  const [argument, ...steps] = path;
  const place = steps.map((step) => (typeof step === 'number' ? `[${step}]` : `.${step}`)).join('');
  return invalid(reason, `${argument}${place}: ${message}`, path);
}

/** The smallest value that a type takes. */
function sampleOf(type: GraphQLInputType): unknown {
  const at = getNullableType(type);
  if (isListType(at)) return [];
  if (isEnumType(at)) return at.getValues()[0]!.name;
  if (!isInputObjectType(at)) return SAMPLES[at.name];
  const fields = Object.values(at.getFields()).filter(isRequiredInputField);
  return Object.fromEntries(fields.map((field) => [field.name, sampleOf(field.type)]));
}
