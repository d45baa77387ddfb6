/**
 * Every way in which a request, job or event can end other than well. An edge (GraphQL, HTTP, queue, Pub/Sub)
 * looks up its own column of {@link ERROR_KINDS} once; nothing else decides what an error means there.
 */
export type ErrorKind =
  | 'invalid'
  | 'unauthenticated'
  | 'forbidden'
  | 'not-found'
  | 'conflict'
  | 'over-quota'
  | 'rejected'
  | 'rate-limited'
  | 'unavailable'
  | 'internal';

/** What a queue processor does with a job that ended in an error. `wait` uses up no attempt. */
export type QueueVerdict = 'fail' | 'done' | 'reject' | 'wait' | 'retry';
/** What a subscriber answers to an event that ended in an error. `pause`: nack, and pull no more for a while. */
export type EventVerdict = 'ack' | 'nack' | 'pause';

interface KindRow {
  readonly graphql: string;
  readonly http: number;
  readonly queue: QueueVerdict;
  readonly event: EventVerdict;
}

/** The one table of error meanings. Kinds that a queue or a subscriber cannot meet are treated as bugs there. */
export const ERROR_KINDS: Readonly<Record<ErrorKind, KindRow>> = {
  invalid: { graphql: 'BAD_USER_INPUT', http: 400, queue: 'fail', event: 'ack' },
  unauthenticated: { graphql: 'UNAUTHENTICATED', http: 401, queue: 'retry', event: 'nack' },
  forbidden: { graphql: 'FORBIDDEN', http: 403, queue: 'fail', event: 'ack' },
  'not-found': { graphql: 'NOT_FOUND', http: 404, queue: 'done', event: 'ack' },
  conflict: { graphql: 'CONFLICT', http: 409, queue: 'done', event: 'ack' },
  'over-quota': { graphql: 'QUOTA_EXCEEDED', http: 413, queue: 'retry', event: 'nack' },
  rejected: { graphql: 'REJECTED', http: 422, queue: 'reject', event: 'ack' },
  'rate-limited': { graphql: 'RATE_LIMITED', http: 429, queue: 'retry', event: 'nack' },
  unavailable: { graphql: 'UNAVAILABLE', http: 503, queue: 'wait', event: 'pause' },
  internal: { graphql: 'INTERNAL_SERVER_ERROR', http: 500, queue: 'retry', event: 'nack' },
};

export interface ErrorDetails {
  /** Where in the input the trouble is, e.g. `['input', 'filename']`. */
  readonly path?: readonly (string | number)[];
  /** For `rate-limited` and `unavailable`: when a retry is worth while. */
  readonly retryAfterSeconds?: number;
  readonly cause?: unknown;
}

/**
 * The base of every error that Stowage raises on purpose. `message` is for the caller and carries no SQL, path,
 * bucket, key or stack; `reason` is stable and for programs.
 */
export class StowageError extends Error {
  /** Not `path`: graphql-js takes an error with one for its own, and would not say which field failed. */
  readonly inputPath?: readonly (string | number)[];
  readonly retryAfterSeconds?: number;

  constructor(
    readonly kind: ErrorKind,
    readonly reason: string,
    message: string,
    details: ErrorDetails = {},
  ) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.name = 'StowageError';
    this.inputPath = details.path;
    this.retryAfterSeconds = details.retryAfterSeconds;
  }
}

export const invalid = (reason: string, message: string, path?: readonly (string | number)[]) =>
  new StowageError('invalid', reason, message, { path });

export const unavailable = (reason: string, message: string, cause?: unknown) =>
  new StowageError('unavailable', reason, message, { cause });

/** Not found and not yours look the same, down to the words. */
export const assetNotFound = () =>
  new StowageError('not-found', 'ASSET_NOT_FOUND', 'There is no such asset.');

/** The kind of anything that can be thrown; what Stowage did not raise itself is a bug. */
export const kindOf = (error: unknown): ErrorKind =>
  error instanceof StowageError ? error.kind : 'internal';
