import { unwrapResolverError } from '@apollo/server/errors';
import { GraphQLError, type GraphQLFormattedError, Kind } from 'graphql';
import type { PinoLogger } from 'nestjs-pino';
import { ERROR_KINDS } from '#libs/domain';
import { formatGraphQLError } from './errors.js';

/** Codes of errors that a client cannot correct: bugs and unavailable dependencies. */
const SERVER_CODES = new Set<unknown>([ERROR_KINDS.internal.graphql, ERROR_KINDS.unavailable.graphql]);
/** Limit for one operation, which may fail once for each entry of a page. */
const MAX_LOGGED = 5;

/** Formats an error that the server raised for the client. */
export const formatServerError = (error: GraphQLError): GraphQLFormattedError =>
  formatGraphQLError(error.toJSON(), unwrapResolverError(error));

/**
 * Drops the text after the colon, where graphql-js quotes a value that may be client input: `… cannot represent value:
 * "…"`.
 */
function causeOf(error: GraphQLError): unknown {
  const cause = unwrapResolverError(error);
  return cause instanceof GraphQLError ? new Error(cause.message.split(':', 1)[0]) : cause;
}

/** The field name from the schema. The error's path would contain the alias that the client chose. */
function fieldOf({ nodes = [] }: GraphQLError): string | undefined {
  const [node] = nodes;
  return node?.kind === Kind.FIELD ? node.name.value : undefined;
}

/**
 * Logs at most five errors of one operation. Bugs and unavailable dependencies are logged at the level error, with the
 * request id that the client receives. All client errors of the operation together are one line at the level debug,
 * with code and reason but without a message, since a message may quote client input.
 * @param reqId id of the request
 * @param source prefix of the log messages
 */
export function logErrors(
  logger: PinoLogger,
  errors: readonly GraphQLError[],
  reqId: string | undefined,
  source: 'operation' | 'subscription' = 'operation',
): void {
  const shown = errors.map((error) => ({ error, extensions: formatServerError(error).extensions ?? {} }));
  const serverErrors = shown.filter(({ extensions }) => SERVER_CODES.has(extensions.code));
  const [clientError, ...others] = shown.filter(({ extensions }) => !SERVER_CODES.has(extensions.code));
  for (const { error } of serverErrors.slice(0, MAX_LOGGED)) {
    const line = { err: causeOf(error), field: fieldOf(error), errors: serverErrors.length, reqId };
    logger.error(line, `${source} failed`);
  }
  if (clientError === undefined) return;
  const { code, reason } = clientError.extensions;
  logger.debug({ code, reason, errors: 1 + others.length, reqId }, `${source} refused`);
}
