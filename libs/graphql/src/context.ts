import type { IncomingHttpHeaders } from 'node:http';

/** The part of the request that resolvers may read. */
export interface GraphQLContext {
  readonly req: { readonly id: string; readonly headers: IncomingHttpHeaders };
}
