import {
  type DocumentNode,
  type GraphQLSchema,
  isObjectType,
  TypeInfo,
  visit,
  visitWithTypeInfo,
} from 'graphql';

/** Types whose fields are the entry points of clients and operators. */
const ENTRY_TYPES = ['Query', 'Mutation', 'Subscription', 'Admin'];

/** The entry points of a schema, as `Type.field`. */
export const entryFieldsOf = (schema: GraphQLSchema): string[] =>
  ENTRY_TYPES.flatMap((name) => {
    const type = schema.getType(name);
    return isObjectType(type) ? Object.keys(type.getFields()).map((field) => `${name}.${field}`) : [];
  });

/** The fields that a valid document selects, as `Type.field`. */
export function fieldsIn(document: DocumentNode, schema: GraphQLSchema): Set<string> {
  const fields = new Set<string>();
  const types = new TypeInfo(schema);
  const enter = () => {
    const [type, field] = [types.getParentType(), types.getFieldDef()];
    if (type && field) fields.add(`${type.name}.${field.name}`);
  };
  visit(document, visitWithTypeInfo(types, { Field: { enter } }));
  return fields;
}
