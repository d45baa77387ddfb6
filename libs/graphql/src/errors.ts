import type { GraphQLFormattedError } from 'graphql';
import { GraphQLError } from 'graphql';
import { ERROR_KINDS, StowageError } from '#libs/domain';

/** Codes of Apollo's own refusals, which are safe to show as they are. */
const PROTOCOL_CODES = new Set([
  'GRAPHQL_PARSE_FAILED',
  'GRAPHQL_VALIDATION_FAILED',
  'OPERATION_RESOLUTION_FAILURE',
  'BAD_REQUEST',
  'BAD_USER_INPUT',
  'PERSISTED_QUERY_NOT_SUPPORTED',
  'PERSISTED_QUERY_NOT_FOUND',
]);

/** The parser says so in words alone: https://github.com/graphql/graphql-js/blob/16.x.x/src/language/parser.ts */
const TOO_MANY_TOKENS = /^Syntax Error: Document contains more tha[nt] \d+ tokens/;

/** The StowageError behind an error, however often it was wrapped on its way out. */
export function stowageErrorIn(error: unknown): StowageError | null {
  for (let at = error, depth = 0; at instanceof Error && depth < 8; depth++) {
    if (at instanceof StowageError) return at;
    at = at instanceof GraphQLError ? at.originalError : at.cause;
  }
  return null;
}

/** Whether an error is about the operation itself or how it was sent: the server raised it before any resolver ran. */
function isOfProtocol(error: unknown): boolean {
  for (let at = error, depth = 0; at instanceof GraphQLError && depth < 8; depth++) {
    if (at.originalError === undefined || at.originalError === null) return true;
    at = at.originalError;
  }
  return false;
}

/**
 * The GraphQL edge of the error table: `extensions.code` from the kind, the stable `reason`, the `path` of the input.
 * Whatever Stowage did not raise on purpose is a bug: its message stays in the log; the api adds the `requestId` to look for.
 */
export function formatGraphQLError(formatted: GraphQLFormattedError, error: unknown): GraphQLFormattedError {
  const { locations, path } = formatted;
  const known = stowageErrorIn(error);
  const code = formatted.extensions?.code;
  const inputPath = known?.inputPath ?? formatted.extensions?.path;
  const at = inputPath === undefined ? {} : { path: inputPath };
  if (known !== null && known.kind !== 'internal') {
    return {
      message: known.message,
      locations,
      path,
      extensions: {
        code: ERROR_KINDS[known.kind].graphql,
        reason: known.reason,
        ...at,
        ...(known.retryAfterSeconds === undefined ? {} : { retryAfterSeconds: known.retryAfterSeconds }),
      },
    };
  }
  if (code === 'GRAPHQL_PARSE_FAILED' && TOO_MANY_TOKENS.test(formatted.message)) {
    const extensions = { code: ERROR_KINDS.invalid.graphql, reason: 'TOO_MANY_TOKENS' };
    return { message: 'The operation is too long.', locations, path, extensions };
  }
  if (typeof code === 'string' && PROTOCOL_CODES.has(code)) {
    return { message: formatted.message, locations, path, extensions: { code, ...at } };
  }
  // graphql-js and Apollo give some of their refusals no code.
  if (path === undefined && isOfProtocol(error)) {
    return { message: formatted.message, locations, extensions: { code: 'BAD_REQUEST', ...at } };
  }
  return {
    message: 'Something went wrong on our side.',
    locations,
    path,
    extensions: { code: ERROR_KINDS.internal.graphql },
  };
}
