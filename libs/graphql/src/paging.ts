import { Field, ObjectType } from '@nestjs/graphql';
import { invalid } from '#libs/domain';

@ObjectType({ description: 'Where a page lies in its list.' })
export class PageInfo {
  @Field(() => Boolean, { description: 'Whether there is more after this page.' })
  hasNextPage: boolean;

  @Field(() => Boolean, { description: 'Whether there is more before this page.' })
  hasPreviousPage: boolean;

  @Field(() => String, {
    nullable: true,
    description: 'Cursor of the first edge; null on an empty page, unless the list goes on before it.',
  })
  startCursor: string | null;

  @Field(() => String, {
    nullable: true,
    description: 'Cursor of the last edge; null on an empty page, unless the list goes on after it.',
  })
  endCursor: string | null;
}

export interface PageArgs {
  readonly first?: number | null;
  readonly after?: string | null;
  readonly last?: number | null;
  readonly before?: string | null;
}

/** Which way a page is read, from where, and how long it is. */
export interface PageRequest {
  readonly backward: boolean;
  readonly size: number;
  readonly cursor: string | null;
}

/** Entries of a page: the most, and those of one whose size is not given. */
export const MAX_PAGE = 100;
export const DEFAULT_PAGE = 20;

/** @throws StowageError invalid PAGE_INVALID */
export function parsePage(args: PageArgs): PageRequest {
  const { first, after, last, before } = args;
  const refuse = (why: string, at: string) => invalid('PAGE_INVALID', why, [at]);
  if (first != null && last != null) throw refuse('Give first or last, not both.', 'last');
  const backward = last != null;
  if (backward ? after != null : before != null) {
    throw refuse('after goes with first, before goes with last.', backward ? 'after' : 'before');
  }
  const size = first ?? last ?? DEFAULT_PAGE;
  if (size < 1 || size > MAX_PAGE)
    throw refuse(`A page has 1 to ${MAX_PAGE} entries.`, backward ? 'last' : 'first');
  return { backward, size, cursor: (backward ? before : after) ?? null };
}

export interface Connection<Node> {
  readonly edges: { readonly cursor: string; readonly node: Node }[];
  readonly nodes: Node[];
  readonly pageInfo: PageInfo;
}

/**
 * Builds a connection of rows that were read in the page's direction, one more than its size to learn whether the list
 * goes on.
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
