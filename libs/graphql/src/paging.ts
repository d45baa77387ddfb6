import { Field, ObjectType } from '@nestjs/graphql';
import { invalid } from '#libs/domain';

@ObjectType({ description: 'Position of a page in its list.' })
export class PageInfo {
  @Field(() => Boolean, { description: 'Whether entries follow this page.' })
  hasNextPage: boolean;

  @Field(() => Boolean, { description: 'Whether entries precede this page.' })
  hasPreviousPage: boolean;

  @Field(() => String, {
    nullable: true,
    description:
      'Cursor of the first edge. On an empty page: null, or the cursor from which the list continues backward.',
  })
  startCursor: string | null;

  @Field(() => String, {
    nullable: true,
    description:
      'Cursor of the last edge. On an empty page: null, or the cursor from which the list continues forward.',
  })
  endCursor: string | null;
}

/** Paging arguments of a connection, as in https://relay.dev/graphql/connections.htm */
export interface PageArgs {
  readonly first?: number | null;
  readonly after?: string | null;
  readonly last?: number | null;
  readonly before?: string | null;
}

/** Direction, start and length of a page. */
export interface PageRequest {
  readonly backward: boolean;
  readonly size: number;
  readonly cursor: string | null;
}

/** Maximum and default number of entries in a page. */
export const MAX_PAGE = 100;
export const DEFAULT_PAGE = 20;

/**
 * Checks the paging arguments of a connection.
 * @throws StowageError invalid PAGE_INVALID
 */
export function parsePage(args: PageArgs): PageRequest {
  const { first, after, last, before } = args;
  const refuse = (why: string, at: string) => invalid('PAGE_INVALID', why, [at]);
  if (first != null && last != null) throw refuse('Use first or last, not both.', 'last');
  const backward = last != null;
  if (backward ? after != null : before != null) {
    throw refuse('Use after with first, and before with last.', backward ? 'after' : 'before');
  }
  const size = first ?? last ?? DEFAULT_PAGE;
  if (size < 1 || size > MAX_PAGE)
    throw refuse(`A page must have 1 to ${MAX_PAGE} entries.`, backward ? 'last' : 'first');
  return { backward, size, cursor: (backward ? before : after) ?? null };
}

/** A page of a list with cursors, as in https://relay.dev/graphql/connections.htm */
export interface Connection<Node> {
  readonly edges: { readonly cursor: string; readonly node: Node }[];
  readonly nodes: Node[];
  readonly pageInfo: PageInfo;
}

/**
 * Builds a connection from rows in reading order of the page. The caller reads one row more than the page size, so that
 * the connection knows whether the list continues.
 * @param rows at most one row more than the page size, in the reading direction of the page
 * @param cursorOf returns the cursor of a row
 * @example
 * const page = parsePage(args);
 * const rows = await list(page.cursor, page.size + 1);
 * return connectionOf(rows, page, ({ id }) => String(id));
 */
export function connectionOf<Node>(
  rows: readonly Node[],
  page: PageRequest,
  cursorOf: (node: Node) => string,
): Connection<Node> {
  const more = rows.length > page.size;
  const nodes = rows.slice(0, page.size);
  if (page.backward) nodes.reverse();
  const edges = nodes.map((node) => ({ cursor: cursorOf(node), node }));
  return {
    edges,
    nodes,
    pageInfo: {
      hasNextPage: page.backward ? page.cursor !== null : more,
      hasPreviousPage: page.backward ? more : page.cursor !== null,
      startCursor: edges.at(0)?.cursor ?? null,
      endCursor: edges.at(-1)?.cursor ?? null,
    },
  };
}
