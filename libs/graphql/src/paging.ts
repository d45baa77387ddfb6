import { ArgsType, Field, Int } from '@nestjs/graphql';
import { invalid } from '#libs/domain';

/** Maximum and default number of entries in a page. */
export const MAX_PAGE = 100;
export const DEFAULT_PAGE = 20;

/**
 * Arguments of a connection that is read forwards, as in https://relay.dev/graphql/connections.htm
 * @example
 * @ArgsType()
 * class AlbumsArgs extends ForwardPageArgs {
 *   @Field(() => String, { nullable: true, description: 'Start of the title.' })
 *   title?: string | null;
 * }
 */
@ArgsType()
export class ForwardPageArgs {
  @Field(() => Int, {
    nullable: true,
    description: `Page length; 1 to ${MAX_PAGE}, by default ${DEFAULT_PAGE}.`,
  })
  first?: number | null;

  @Field(() => String, { nullable: true, description: 'With first: the cursor that the page comes after.' })
  after?: string | null;
}

/** Arguments of a connection that is read in both directions. */
@ArgsType()
export class PageArgs extends ForwardPageArgs {
  @Field(() => Int, { nullable: true, description: `Page length, read backwards; 1 to ${MAX_PAGE}.` })
  last?: number | null;

  @Field(() => String, { nullable: true, description: 'With last: the cursor that the page comes before.' })
  before?: string | null;
}

/** Direction, start and length of a page. */
export interface PageRequest {
  readonly backward: boolean;
  readonly size: number;
  readonly cursor: string | null;
}

/**
 * Checks the paging arguments of a connection.
 * @throws StowageError invalid PAGE_INVALID
 */
export function parsePage(args: ForwardPageArgs | PageArgs): PageRequest {
  const { first, after, last, before }: PageArgs = args;
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
