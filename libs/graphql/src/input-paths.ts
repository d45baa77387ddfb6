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

/** Position of a value in a document. */
export interface InputSite {
  /** The field whose argument contains the value. */
  readonly field?: FieldNode;
  /** Name of the type that declares the field. */
  readonly parent?: string;
  /** Name of the argument, followed by field names and list indexes. */
  readonly path: InputPath;
  readonly type: GraphQLInputType | undefined;
}

/** A part of an input value that its type does not allow. */
export interface InputFault {
  readonly path: InputPath;
  /**
   * Whether a scalar rejected the value. All other faults concern the shape: enum values, unknown fields, missing values.
   */
  readonly isScalar: boolean;
  readonly error: GraphQLError;
}

/** graphql-js reports at most this many errors of an operation's variables. */
const MAX_FAULTS = 50;
const LIMIT_REACHED = new Error('limit reached');
const VARIABLE_VALUE_ERROR = /^Variable "\$\w+" (got invalid value|of required type|of non-null type) /;
/** graphql-js names the field in the message only; the path of its error ends at the object. */
const NAMED_FIELD = /^Field "(?:\w+\.)?(\w+)"/;

/**
 * The positions of values, input object fields and variable uses in a document, for the nodes that `isWanted` selects.
 */
export function inputSites(
  schema: GraphQLSchema,
  document: DocumentNode,
  isWanted: (node: ASTNode) => boolean,
): Map<ASTNode, InputSite> {
  const types = new TypeInfo(schema);
  const sites = new Map<ASTNode, InputSite>();
  const fields: Pick<InputSite, 'field' | 'parent'>[] = [];
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
        sites.set(node, { ...fields.at(-1), path: [...path], type: types.getInputType() ?? undefined });
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

/** The positions at which a document uses its variables, by variable name. */
export function variableSites(schema: GraphQLSchema, document: DocumentNode): Map<string, InputSite[]> {
  const sites = new Map<string, InputSite[]>();
  for (const [node, site] of inputSites(schema, document, ({ kind }) => kind === Kind.VARIABLE)) {
    if (node.kind !== Kind.VARIABLE) continue;
    const name = node.name.value;
    sites.set(name, [...(sites.get(name) ?? []), site]);
  }
  return sites;
}

/** The faults of a variable's value, in the order in which graphql-js reports them; at most `most`. */
export function faultsOf(value: unknown, type: GraphQLInputType, most = MAX_FAULTS): InputFault[] {
  const faults: InputFault[] = [];
  try {
    coerceInputValue(value, type, (at, invalid, error) => {
      const isScalar = invalid !== undefined && invalid !== null && isScalarType(typeAt(type, at));
      faults.push({ path: [...at, ...fieldNamedIn(error)], isScalar, error });
      if (faults.length >= most) throw LIMIT_REACHED;
    });
  } catch (error) {
    if (error !== LIMIT_REACHED) throw error;
  }
  return faults;
}

function typeAt(type: GraphQLInputType, path: InputPath): GraphQLInputType {
  let at = getNullableType(type);
  for (const step of path) {
    // GraphQL coerces a value that is not a list to a list of one, without an index in the path.
    while (isListType(at) && typeof step === 'string') at = getNullableType(at.ofType);
    if (isListType(at)) at = getNullableType(at.ofType);
    else if (isInputObjectType(at)) at = getNullableType(at.getFields()[step]!.type);
  }
  while (isListType(at)) at = getNullableType(at.ofType);
  return at;
}

const fieldNamedIn = ({ message }: GraphQLError) => NAMED_FIELD.exec(message)?.slice(1) ?? [];

/**
 * Adds `extensions.path` to the errors about values that their types do not allow, in a document or in its variables.
 * The path begins with the name of the argument. Errors about variables also get the code that Apollo sets over HTTP,
 * since WebSocket subscriptions do not run through Apollo.
 * @param errors all errors of one operation, in the order in which graphql-js reported them
 */
export function addInputPaths(
  errors: readonly GraphQLError[],
  { schema, document, variableValues }: Pick<ExecutionArgs, 'schema' | 'document' | 'variableValues'>,
): void {
  const nodes = new Set(errors.flatMap(({ nodes: [node] = [] }) => node ?? []));
  if (nodes.size === 0) return;
  const sites = inputSites(schema, document, (node) => nodes.has(node));
  let sitesByVariable: Map<string, InputSite[]> | undefined;
  const faults = new Map<ASTNode, Iterator<InputPath, undefined>>();
  for (const error of errors) {
    const [node] = error.nodes ?? [];
    if (node === undefined) continue;
    const site = sites.get(node);
    if (site !== undefined) {
      const named = node.kind === Kind.OBJECT ? fieldNamedIn(error) : [];
      Object.assign(error.extensions, { path: [...site.path, ...named] });
    } else if (node.kind === Kind.VARIABLE_DEFINITION && VARIABLE_VALUE_ERROR.test(error.message)) {
      sitesByVariable ??= variableSites(schema, document);
      const name = node.variable.name.value;
      const paths = faults.get(node) ?? faultPaths(schema, node, variableValues?.[name]).values();
      faults.set(node, paths);
      const base = sitesByVariable.get(name)?.[0]?.path ?? [name];
      const path = [...base, ...(paths.next().value ?? [])];
      Object.assign(error.extensions, { code: ERROR_KINDS.invalid.graphql, path });
    }
  }
}

/** The paths of a value's faults; empty for a missing value. */
function faultPaths(schema: GraphQLSchema, { type }: VariableDefinitionNode, value: unknown): InputPath[] {
  const expected = typeFromAST(schema, type);
  if (value === undefined || value === null || !isInputType(expected)) return [];
  return faultsOf(value, expected).map(({ path }) => path);
}
