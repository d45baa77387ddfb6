import { Extensions } from '@nestjs/graphql';
import {
  getNamedType,
  getNullableType,
  type GraphQLField,
  type GraphQLSchema,
  isInterfaceType,
  isIntrospectionType,
  isListType,
  isObjectType,
} from 'graphql';

/** Key of the extension that holds the {@link ListSize} of a field. */
const EXTENSION = 'maxItems';

/** Size of a list without paging arguments. `page`: the field that returns the connection has the argument `first`. */
type ListSize = { readonly max: number; readonly counted: number } | 'page';

const sized = (size: ListSize) => Extensions({ [EXTENSION]: size });

/** Declares a list of a connection, whose length is the page size of the field that returns the connection. */
export const PageItems = () => sized('page');

/**
 * Declares how many items a list field without the argument `first` has at most. The resolver must observe the maximum. The cost
 * of an operation counts the fields below the list once for each item.
 * @param counted items that the cost counts instead, for a list that is read together with its parent and is mostly short
 * @throws Error if a number is not whole, or below 1
 * @example
 * class AlbumModel {
 *   @MaxItems(20)
 *   @Field(() => [TagModel], { description: 'Tags of the album, at most 20.' })
 *   tags: TagModel[];
 * }
 */
export function MaxItems(max: number, { counted = max }: { readonly counted?: number } = {}) {
  if (![max, counted].every((number) => Number.isSafeInteger(number) && number >= 1)) {
    throw new Error(`@MaxItems needs whole numbers from 1, not ${max} and ${counted}.`);
  }
  return sized({ max, counted });
}

type Field = GraphQLField<unknown, unknown>;

/** Whether the length of the list, or of the lists of the connection, that the field returns is an argument. */
export const isPaged = ({ args }: Field) => args.some(({ name }) => name === 'first');

const sizeOf = ({ extensions }: Field) => extensions[EXTENSION] as ListSize | undefined;

/** Items that the cost of an operation counts for a field without paging arguments. */
export function countedItems(field: Field): number {
  const size = sizeOf(field);
  return size === undefined || size === 'page' ? 1 : size.counted;
}

/**
 * The list fields of a schema without a limit, each as a sentence. A list needs the argument `first` or {@link MaxItems}, and a
 * connection the argument `first`.
 */
export function unlimitedLists(schema: GraphQLSchema): string[] {
  const fields = Object.values(schema.getTypeMap())
    .filter((type) => isObjectType(type) || isInterfaceType(type))
    .filter((type) => !isIntrospectionType(type))
    .flatMap((type) =>
      Object.values(type.getFields()).map((field) => [`${type.name}.${field.name}`, field] as const),
    );
  return fields.flatMap(([name, field]) => {
    const type = getNullableType(field.type);
    if (isListType(type) && isListType(getNullableType(type.ofType))) return `${name} is a list of lists.`;
    if (isListType(type) && !isPaged(field) && sizeOf(field) === undefined) {
      return `${name} is a list and needs the argument first or @MaxItems.`;
    }
    return isConnection(field) && !isPaged(field)
      ? `${name} returns a connection and needs the argument first.`
      : [];
  });
}

function isConnection(field: Field): boolean {
  const type = getNamedType(field.type);
  return isObjectType(type) && Object.values(type.getFields()).some((each) => sizeOf(each) === 'page');
}

/** Returns the schema. @throws Error if a list has no limit, see {@link unlimitedLists} */
export function verifyLists(schema: GraphQLSchema): GraphQLSchema {
  const [problem] = unlimitedLists(schema);
  if (problem !== undefined) throw new Error(`The GraphQL schema is invalid: ${problem}`);
  return schema;
}
