import { unwrapResolverError } from '@apollo/server/errors';
import { GraphQLError, type GraphQLFormattedError, Kind } from 'graphql';
import type { PinoLogger } from 'nestjs-pino';
import { ERROR_KINDS } from '#libs/domain';
import { formatGraphQLError } from './errors.js';

/** Codes of errors that no client can mend. */
const OURS = new Set<unknown>([ERROR_KINDS.internal.graphql, ERROR_KINDS.unavailable.graphql]);
/** Of one operation, which may have an error for each entry of a page. */
const MAX_LOGGED = 5;

/** What a client is shown of an error that the server raised. */
export const showError = (error: GraphQLError): GraphQLFormattedError =>
  formatGraphQLError(error.toJSON(), unwrapResolverError(error));

/** graphql-js quotes the value behind a colon, which may be a client's: `String cannot represent value: "…"`. */
function causeOf(error: GraphQLError): unknown {
  const cause = unwrapResolverError(error);
  return cause instanceof GraphQLError ? new Error(cause.message.split(':', 1)[0]) : cause;
}

/** By the schema's name: the path of the error has the client's. */
function fieldOf({ nodes = [] }: GraphQLError): string | undefined {
  const [node] = nodes;
  return node?.kind === Kind.FIELD ? node.name.value : undefined;
}

/**
 * Logs the errors of one operation, at most five of them: bugs and broken dependencies at the level error, under the id that the
 * caller is told. What a caller is shown as their own mistake is one line at the level debug, with code and reason, and without a
 * message, which may quote what they sent.
 * @param reqId of the request
 * @param what begins the messages
 */
export function logErrors(
  logger: PinoLogger,
  errors: readonly GraphQLError[],
  reqId: string | undefined,
  what: 'operation' | 'subscription' = 'operation',
): void {
  const shown = errors.map((error) => ({ error, extensions: showError(error).extensions ?? {} }));
  const ours = shown.filter(({ extensions }) => OURS.has(extensions.code));
  const [mistake, ...others] = shown.filter(({ extensions }) => !OURS.has(extensions.code));
  for (const { error } of ours.slice(0, MAX_LOGGED)) {
    const line = { err: causeOf(error), field: fieldOf(error), errors: ours.length, reqId };
    logger.error(line, `${what} failed`);
  }
  if (mistake === undefined) return;
  const { code, reason } = mistake.extensions;
  logger.debug({ code, reason, errors: 1 + others.length, reqId }, `${what} refused`);
}
