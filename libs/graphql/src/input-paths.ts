import {
  type ASTNode,
  coerceInputValue,
  type DocumentNode,
  type ExecutionArgs,
  type FieldNode,
  getNullableType,
  type GraphQLError,
  type GraphQLInputType,
  type GraphQLSchema,
  isInputObjectType,
  isInputType,
  isListType,
  isScalarType,
  isValueNode,
  Kind,
  typeFromAST,
  TypeInfo,
  type VariableDefinitionNode,
  visit,
  visitWithTypeInfo,
} from 'graphql';
import { ERROR_KINDS } from '#libs/domain';

export type InputPath = readonly (string | number)[];

/** Where a value in a document goes. */
export interface InputSite {
  /** The field whose argument it is in. */
  readonly field: FieldNode | undefined;
  /** Name of the type of which that is a field. */
  readonly parent: string | undefined;
  /** The name of the argument, then names of fields and indexes. */
  readonly path: InputPath;
  readonly type: GraphQLInputType | undefined;
}

/** A part of an input that its type does not allow. */
export interface InputFault {
  readonly path: InputPath;
  /** A value that a scalar does not take; all others are of the input's form: enums, unknown fields, missing values. */
  readonly isScalar: boolean;
  readonly error: GraphQLError;
}

/** As many errors as graphql-js reports of an operation's variables. */
const MAX_FAULTS = 50;
const ENOUGH = new Error('enough');
const OF_A_VALUE = /^Variable "\$\w+" (got invalid value|of required type|of non-null type) /;
/** graphql-js names the field in words alone, and in its path the object. */
const NAMED_FIELD = /^Field "(?:\w+\.)?(\w+)"/;

/** Where the values, fields of input objects and uses of variables in a document go, of those that are wanted. */
export function inputSites(
  schema: GraphQLSchema,
  document: DocumentNode,
  isWanted: (node: ASTNode) => boolean,
): Map<ASTNode, InputSite> {
  const types = new TypeInfo(schema);
  const sites = new Map<ASTNode, InputSite>();
  const fields: { field: FieldNode; parent: string | undefined }[] = [];
  const path: (string | number)[] = [];
  visit(
    document,
    visitWithTypeInfo(types, {
      enter(node, key) {
        if (node.kind === Kind.FIELD) fields.push({ field: node, parent: types.getParentType()?.name });
        const step = stepOf(node, key);
        if (step !== undefined) path.push(step);
        const isInput = node.kind === Kind.OBJECT_FIELD || (isValueNode(node) && key !== 'variable');
        if (!isInput || !isWanted(node)) return;
        const { field, parent } = fields.at(-1) ?? { field: undefined, parent: undefined };
        sites.set(node, { field, parent, path: [...path], type: types.getInputType() ?? undefined });
      },
      leave(node, key) {
        if (node.kind === Kind.FIELD) fields.pop();
        if (stepOf(node, key) !== undefined) path.pop();
      },
    }),
  );
  return sites;
}

function stepOf(node: ASTNode, key: string | number | undefined): string | number | undefined {
  if (node.kind === Kind.ARGUMENT || node.kind === Kind.OBJECT_FIELD) return node.name.value;
  if (node.kind === Kind.VARIABLE_DEFINITION) return node.variable.name.value;
  return typeof key === 'number' && isValueNode(node) ? key : undefined;
}

/** The uses of variables in a document, by the variables' names. */
export function variableSites(schema: GraphQLSchema, document: DocumentNode): Map<string, InputSite[]> {
  const sites = new Map<string, InputSite[]>();
  for (const [node, site] of inputSites(schema, document, ({ kind }) => kind === Kind.VARIABLE)) {
    if (node.kind !== Kind.VARIABLE) continue;
    const name = node.name.value;
    sites.set(name, [...(sites.get(name) ?? []), site]);
  }
  return sites;
}

/** The faults of a variable's value, in the order in which graphql-js reports them; not more than the first `most`. */
export function faultsOf(value: unknown, type: GraphQLInputType, most = MAX_FAULTS): InputFault[] {
  const faults: InputFault[] = [];
  try {
    coerceInputValue(value, type, (at, invalid, error) => {
      const isScalar = invalid !== undefined && invalid !== null && isScalarType(typeAt(type, at));
      faults.push({ path: [...at, ...fieldNamedIn(error)], isScalar, error });
      if (faults.length >= most) throw ENOUGH;
    });
  } catch (error) {
    if (error !== ENOUGH) throw error;
  }
  return faults;
}

function typeAt(type: GraphQLInputType, path: InputPath): GraphQLInputType {
  let at = getNullableType(type);
  for (const step of path) {
    // A value that is no list counts as a list of it.
    while (isListType(at) && typeof step === 'string') at = getNullableType(at.ofType);
    if (isListType(at)) at = getNullableType(at.ofType);
    else if (isInputObjectType(at)) at = getNullableType(at.getFields()[step]!.type);
  }
  while (isListType(at)) at = getNullableType(at.ofType);
  return at;
}

const fieldNamedIn = ({ message }: GraphQLError) => NAMED_FIELD.exec(message)?.slice(1) ?? [];

/**
 * Adds `extensions.path` to the errors of values that their types do not allow, in a document or in its variables: where the
 * value goes, from the name of the argument on; and to those of variables the code that Apollo gives them, which over sockets
 * nobody does. The errors are those of one operation, all of them and in their order.
 */
export function addInputPaths(
  errors: readonly GraphQLError[],
  { schema, document, variableValues }: Pick<ExecutionArgs, 'schema' | 'document' | 'variableValues'>,
): void {
  const nodes = new Set(errors.flatMap(({ nodes: [node] = [] }) => node ?? []));
  if (nodes.size === 0) return;
  const sites = inputSites(schema, document, (node) => nodes.has(node));
  let places: Map<string, InputSite[]> | undefined;
  const faults = new Map<ASTNode, Iterator<InputPath, undefined>>();
  for (const error of errors) {
    const [node] = error.nodes ?? [];
    if (node === undefined) continue;
    const site = sites.get(node);
    if (site !== undefined) {
      const named = node.kind === Kind.OBJECT ? fieldNamedIn(error) : [];
      Object.assign(error.extensions, { path: [...site.path, ...named] });
    } else if (node.kind === Kind.VARIABLE_DEFINITION && OF_A_VALUE.test(error.message)) {
      places ??= variableSites(schema, document);
      const name = node.variable.name.value;
      const paths = faults.get(node) ?? faultPaths(schema, node, variableValues?.[name]).values();
      faults.set(node, paths);
      const place = places.get(name)?.[0]?.path ?? [name];
      const path = [...place, ...(paths.next().value ?? [])];
      Object.assign(error.extensions, { code: ERROR_KINDS.invalid.graphql, path });
    }
  }
}

/** None for a value that is missing. */
function faultPaths(schema: GraphQLSchema, { type }: VariableDefinitionNode, value: unknown): InputPath[] {
  const expected = typeFromAST(schema, type);
  if (value === undefined || value === null || !isInputType(expected)) return [];
  return faultsOf(value, expected).map(({ path }) => path);
}
