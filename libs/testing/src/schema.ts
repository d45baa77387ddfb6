import { readFileSync, writeFileSync } from 'node:fs';
import type { DynamicModule, Provider, Type } from '@nestjs/common';
import { GraphQLSchemaBuilderModule, GraphQLSchemaFactory } from '@nestjs/graphql';
import { Test } from '@nestjs/testing';
import {
  buildSchema,
  type GraphQLNamedType,
  GraphQLObjectType,
  type GraphQLSchema,
  isEnumType,
  isInputObjectType,
  isInterfaceType,
  isIntrospectionType,
  isObjectType,
  isSpecifiedScalarType,
  lexicographicSortSchema,
  printSchema,
  printType,
} from 'graphql';
import { unlimitedLists } from '#libs/graphql';
import { type Feature, modulesOf } from '#libs/stowage';
import { SCHEMA_MODULES } from '#libs/stowage/api';

type Module = Type | DynamicModule;

/** The part of the schema that features add. */
export interface FeatureSchema {
  /** Definitions in alphabetical order: new types, and new fields of existing types as `extend type`. */
  readonly additions: string;
  /** Violations of the rules for schemas, each as a sentence. */
  readonly problems: readonly string[];
}

/** The schema that the API serves without features, in alphabetical order. */
export const coreSchema = () => servedSchema([]);

/** The committed schema of the service: NestJS keeps the fields that the resolvers of a feature once added to a type. */
const COMMITTED = new URL('../../../apps/api/schema.graphql', import.meta.url);

/**
 * The part of the schema that features add to the schema of the service, and its violations of the rules. A test file
 * that also uses other features sees their fields too.
 * @example
 * const { additions, problems } = await schemaOf([albums]);
 * expect(problems).toEqual([]);
 * expect(additions).toBe(snapshot(new URL('../schema.graphql', import.meta.url), additions));
 */
export async function schemaOf(features: readonly Feature[]): Promise<FeatureSchema> {
  const own = buildSchema(readFileSync(COMMITTED, 'utf8'));
  const served = await servedSchema(features);
  const added = typesOf(served).flatMap((type) => additionTo(own.getType(type.name), type) ?? []);
  const changed = typesOf(own).flatMap((type) => {
    const now = served.getType(type.name);
    const isKept = now !== undefined && printType(withoutAdditions(type, now)) === printType(type);
    return isKept ? [] : `A feature changes the type ${type.name} of the service.`;
  });
  return { additions: `${added.join('\n\n')}\n`, problems: [...changed, ...schemaProblems(served)] };
}

async function servedSchema(features: readonly Feature[]): Promise<GraphQLSchema> {
  const builder = await Test.createTestingModule({ imports: [GraphQLSchemaBuilderModule] }).compile();
  const modules = [...SCHEMA_MODULES, ...(await modulesOf(features, 'api'))];
  const schema = await builder.get(GraphQLSchemaFactory).create(classesIn(modules));
  return lexicographicSortSchema(schema);
}

/**
 * Violations of the rules for schemas, each as a sentence: descriptions for every element, limits of lists, and names in
 * PascalCase, camelCase and UPPER_SNAKE_CASE.
 */
export const schemaProblems = (schema: GraphQLSchema): string[] => [
  ...unlimitedLists(schema),
  ...typesOf(schema).flatMap((type) =>
    elementsOf(type).flatMap(({ name, description, style }) => [
      ...(description ? [] : [`${name} needs a description.`]),
      ...(style.test(name.slice(name.lastIndexOf('.') + 1))
        ? []
        : [`${name} is named against the conventions.`]),
    ]),
  ),
];

/**
 * The text of a committed file. With UPDATE_SCHEMA=1, writes `text` into the file before.
 * @throws Error if the file does not exist
 */
export function snapshot(file: URL, text: string): string {
  if (process.env.UPDATE_SCHEMA === '1') writeFileSync(file, text);
  return readFileSync(file, 'utf8');
}

/** A schema as the text of a committed file. */
export const printed = (schema: GraphQLSchema) => `${printSchema(schema)}\n`;

/** Classes that modules and their imports provide, each once. Those without resolvers do not matter. */
function classesIn(modules: readonly Module[]): Type[] {
  const seen = new Set<unknown>();
  const providersOf = (module: Module): Provider[] => {
    if (seen.has(module)) return [];
    seen.add(module);
    const { module: type, imports = [], providers = [] } = 'module' in module ? module : { module };
    const metadata = <Value>(key: string) => (Reflect.getMetadata(key, type) ?? []) as Value[];
    return [
      ...[...(imports as Module[]), ...metadata<Module>('imports')].flatMap(providersOf),
      ...providers,
      ...metadata<Provider>('providers'),
    ];
  };
  const providers = modules.flatMap(providersOf).filter((provider) => typeof provider === 'function');
  return [...new Set(providers)];
}

const typesOf = (schema: GraphQLSchema) =>
  Object.values(schema.getTypeMap()).filter(
    (type) => !isIntrospectionType(type) && !isSpecifiedScalarType(type),
  );

/** Definition of a type, or of its fields, that `core` does not have; null if there are none. */
function additionTo(core: GraphQLNamedType | undefined, type: GraphQLNamedType): string | null {
  if (core === undefined) return printType(type);
  if (!isObjectType(core) || !isObjectType(type)) return null;
  const own = core.getFields();
  const { fields, ...config } = type.toConfig();
  const added = Object.entries(fields).filter(([name]) => !(name in own));
  if (added.length === 0) return null;
  const part = { ...config, description: undefined, interfaces: [], fields: Object.fromEntries(added) };
  return `extend ${printType(new GraphQLObjectType(part))}`;
}

/** An object type without the fields that features may add to it; any other type as it is. */
function withoutAdditions(core: GraphQLNamedType, type: GraphQLNamedType): GraphQLNamedType {
  if (!isObjectType(core) || !isObjectType(type)) return type;
  const { fields, ...config } = type.toConfig();
  const kept = Object.entries(fields).filter(([name]) => name in core.getFields());
  return new GraphQLObjectType({ ...config, fields: Object.fromEntries(kept) });
}

const ROOTS = new Set(['Query', 'Mutation', 'Subscription']);
const PASCAL = /^[A-Z][A-Za-z0-9]*$/;
const CAMEL = /^[a-z][A-Za-z0-9]*$/;
const UPPER_SNAKE = /^[A-Z][A-Z0-9]*(_[A-Z0-9]+)*$/;

interface Element {
  readonly name: string;
  readonly description?: string | null;
  readonly style: RegExp;
}

/** A type with its fields, arguments and values. */
function elementsOf(type: GraphQLNamedType): Element[] {
  const description = ROOTS.has(type.name) ? type.name : type.description;
  const elements: Element[] = [{ name: type.name, description, style: PASCAL }];
  const add = (
    parent: string,
    { name, description }: { name: string; description?: string | null },
    style = CAMEL,
  ) => {
    const path = `${parent}.${name}`;
    elements.push({ name: path, description, style });
    return path;
  };
  if (isEnumType(type)) for (const value of type.getValues()) add(type.name, value, UPPER_SNAKE);
  if (isInputObjectType(type)) for (const field of Object.values(type.getFields())) add(type.name, field);
  if (isObjectType(type) || isInterfaceType(type)) {
    for (const field of Object.values(type.getFields())) {
      const path = add(type.name, field);
      for (const argument of field.args) add(path, argument);
    }
  }
  return elements;
}
