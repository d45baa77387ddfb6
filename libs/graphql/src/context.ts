import type { IncomingHttpHeaders } from 'node:http';

/** What every resolver can ask of the request that it serves. */
export interface GraphQLContext {
  readonly req: { readonly id: string; readonly headers: IncomingHttpHeaders };
}
