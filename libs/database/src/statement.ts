/**
 * A prepared statement for a hot path: parsed and planned once per connection. `Row` is the type of the returned rows:
 * bigint for int8, Date for timestamps, otherwise as pg returns them.
 */
export interface Statement<Row> {
  readonly name: string;
  readonly text: string;
  /** Never set; carries the row type for inference. */
  readonly row?: Row;
}

const STATEMENTS = new Map<string, Statement<unknown>>();

/**
 * Defines a statement of a lib, so that the tests prepare it against the schema.
 * @throws Error if another statement has the same name
 * @example
 * const FIND = statement<Pick<Album, 'id' | 'ownerId'>>(
 *   'albums_find',
 *   `select ${columnsSql<Album>('a', ['id', 'ownerId'])} from albums a where a.id = $1`,
 * );
 */
export function statement<Row>(name: string, text: string): Statement<Row> {
  if (STATEMENTS.has(name)) throw new Error(`Another statement is named ${name}.`);
  const defined = { name, text };
  STATEMENTS.set(name, defined);
  return defined;
}

/** All statements of the libs that this process has loaded. */
export const statements = (): readonly Statement<unknown>[] => [...STATEMENTS.values()];

/** The column of a property of a Prisma model. */
export const columnOf = (property: string) =>
  property.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);

/**
 * SQL that selects columns by the properties of a Prisma model and names them so. The rows have the types of the model.
 * @param alias of the table in the statement
 */
export const columnsSql = <Model>(alias: string, properties: readonly (keyof Model & string)[]) =>
  properties.map((property) => `${alias}.${columnOf(property)} as "${property}"`).join(', ');
