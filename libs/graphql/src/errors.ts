import type { GraphQLFormattedError } from 'graphql';
import { GraphQLError } from 'graphql';
import { ERROR_KINDS, StowageError } from '#libs/domain';

/** Codes of Apollo's own rejections, whose messages are safe to return unchanged. */
const PROTOCOL_CODES = new Set<unknown>([
  'GRAPHQL_PARSE_FAILED',
  'GRAPHQL_VALIDATION_FAILED',
  'OPERATION_RESOLUTION_FAILURE',
  'BAD_REQUEST',
  'BAD_USER_INPUT',
  'PERSISTED_QUERY_NOT_SUPPORTED',
  'PERSISTED_QUERY_NOT_FOUND',
]);

/**
 * The parser reports this limit by message only: https://github.com/graphql/graphql-js/blob/16.x.x/src/language/parser.ts
 */
const TOO_MANY_TOKENS = /^Syntax Error: Document contains more tha[nt] \d+ tokens/;

/** Finds the StowageError behind an error that was wrapped up to seven times; null if there is none. */
function stowageErrorIn(error: unknown): StowageError | null {
  for (let at = error, depth = 0; at instanceof Error && depth < 8; depth++) {
    if (at instanceof StowageError) return at;
    at = at instanceof GraphQLError ? at.originalError : at.cause;
  }
  return null;
}

/** Whether the server raised the error about the operation or its transport before any resolver ran. */
function isProtocolError(error: unknown): boolean {
  for (let at = error, depth = 0; at instanceof GraphQLError && depth < 8; depth++) {
    if (at.originalError === undefined) return true;
    at = at.originalError;
  }
  return false;
}

/**
 * Formats an error for GraphQL clients: `extensions.code` from the kind, the stable `reason`, and the `path` of the
 * input. An error that Stowage did not raise on purpose is a bug: the client gets a generic message, to which the API
 * adds the `requestId` that finds the original message in the log.
 */
export function formatGraphQLError(formatted: GraphQLFormattedError, error: unknown): GraphQLFormattedError {
  const { locations, path } = formatted;
  const known = stowageErrorIn(error);
  const code = formatted.extensions?.code;
  const inputPath = known?.inputPath ?? formatted.extensions?.path;
  const answer = (message: string, extensions: Record<string, unknown>) => ({
    message,
    locations,
    path,
    extensions,
  });
  if (known !== null && known.kind !== 'internal') {
    const { kind, reason, message, retryAfterSeconds } = known;
    return answer(message, { code: ERROR_KINDS[kind].graphql, reason, path: inputPath, retryAfterSeconds });
  }
  if (code === 'GRAPHQL_PARSE_FAILED' && TOO_MANY_TOKENS.test(formatted.message)) {
    const extensions = { code: ERROR_KINDS.invalid.graphql, reason: 'TOO_MANY_TOKENS' };
    return answer('The operation is too long.', extensions);
  }
  if (PROTOCOL_CODES.has(code)) return answer(formatted.message, { code, path: inputPath });
  // graphql-js and Apollo raise some rejections without a code.
  if (path === undefined && isProtocolError(error)) {
    return answer(formatted.message, { code: 'BAD_REQUEST', path: inputPath });
  }
  return answer('Something went wrong on our side.', { code: ERROR_KINDS.internal.graphql });
}
