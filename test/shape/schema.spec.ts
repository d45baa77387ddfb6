import { readFileSync } from 'node:fs';
import path from 'node:path';
import { beforeAll, describe, expect, it } from '@jest/globals';
import {
  buildSchema,
  type GraphQLNamedType,
  type GraphQLSchema,
  isEnumType,
  isInputObjectType,
  isIntrospectionType,
  isObjectType,
  isUnionType,
} from 'graphql';
import { coreSchema, printed, schemaOf, schemaProblems, snapshot } from '../../libs/testing/src/schema.js';
import features from '../../stowage.features.js';

const COMMITTED = new URL('../../apps/api/schema.graphql', import.meta.url);
const CONTRACT = path.join(import.meta.dirname, 'contract.graphql');

/** Parts of the contract that are not implemented yet. A name that is served must leave this list. */
const LATER = [
  'Admin.storageReport: StorageReport!',
  'type UploadPart',
  'type StorageClassUsage',
  'type StorageReport',
  'Mutation.uploadParts(assetId: ID!)',
  'Mutation.uploadParts(from: Int!)',
  'Mutation.uploadParts(count: Int!)',
  'Mutation.uploadParts: [UploadPart!]!',
];

const own = (schema: GraphQLSchema) =>
  Object.values(schema.getTypeMap()).filter((type) => !isIntrospectionType(type));

const withDefault = ({ defaultValue }: { defaultValue?: unknown }) =>
  defaultValue === undefined ? '' : ` = ${JSON.stringify(defaultValue)}`;

/** Each element of a type as one line. */
function linesOf(type: GraphQLNamedType): string[] {
  const lines = [`type ${type.name}`];
  if (isEnumType(type)) {
    for (const value of type.getValues()) lines.push(`${type.name}.${value.name}`);
  } else if (isUnionType(type)) {
    for (const member of type.getTypes()) lines.push(`${type.name}: ${member.name}`);
  } else if (isInputObjectType(type)) {
    for (const field of Object.values(type.getFields())) {
      lines.push(`${type.name}.${field.name}: ${String(field.type)}${withDefault(field)}`);
    }
  } else if (isObjectType(type)) {
    for (const field of Object.values(type.getFields())) {
      const name = `${type.name}.${field.name}`;
      lines.push(`${name}: ${String(field.type)}`);
      for (const arg of field.args)
        lines.push(`${name}(${arg.name}: ${String(arg.type)}${withDefault(arg)})`);
    }
  }
  return lines;
}

/** Whether a line belongs to one of these types. Fields of types that are not served are not listed one by one. */
const isPartOf = (line: string, types: readonly string[]) =>
  types.some((name) => line.startsWith(`${name}.`) || line.startsWith(`${name}:`));

describe('schema', () => {
  let core: GraphQLSchema;
  beforeAll(async () => {
    core = await coreSchema();
  });

  it('matches the committed file without features (UPDATE_SCHEMA=1 writes it)', () => {
    const text = printed(core);
    expect(text).toBe(snapshot(COMMITTED, text));
  });

  it('serves the whole contract except the parts listed as later', () => {
    const has = new Set(own(core).flatMap(linesOf));
    const laterTypes = LATER.filter((line) => line.startsWith('type ')).map((line) =>
      line.slice('type '.length),
    );
    const missing = own(buildSchema(readFileSync(CONTRACT, 'utf8')))
      .flatMap(linesOf)
      .filter((line) => !has.has(line) && !isPartOf(line, laterTypes));
    expect(missing.sort()).toEqual([...LATER].sort());
  });

  it('obeys the rules without features and with those of this installation', async () => {
    expect(schemaProblems(core)).toEqual([]);
    expect((await schemaOf(features)).problems).toEqual([]);
  });
});
