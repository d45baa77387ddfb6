/**
 * Every way in which a request, job or event can fail. Each edge (GraphQL, HTTP, queue, Pub/Sub) reads its own column
 * of {@link ERROR_KINDS}, the only place that decides the meaning of an error there.
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

/** How a queue processor handles a job that failed. `wait` consumes no attempt. */
export type QueueVerdict = 'fail' | 'done' | 'reject' | 'wait' | 'retry';
/** How a subscriber answers an event whose handling failed. `pause`: nack, and stop pulling for a while. */
export type EventVerdict = 'ack' | 'nack' | 'pause';

interface KindRow {
  readonly graphql: string;
  readonly http: number;
  readonly queue: QueueVerdict;
  readonly event: EventVerdict;
}

/** The only table of error meanings. Kinds that a queue or a subscriber cannot encounter are treated as bugs there. */
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

/** Additional properties of a {@link StowageError}. */
export interface ErrorDetails {
  /** Path of the invalid input value, e.g. `['input', 'filename']`. */
  readonly path?: readonly (string | number)[];
  /** For `rate-limited` and `unavailable`: seconds until a retry may succeed. */
  readonly retryAfterSeconds?: number;
  readonly cause?: unknown;
}

/**
 * Base class of every error that Stowage raises on purpose. `message` is for the client and contains no SQL, path,
 * bucket, key or stack; `reason` is stable and for programs.
 */
export class StowageError extends Error {
  /** Not named `path`: graphql-js treats an error with a `path` as its own and would not report the failed field. */
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

/** An error in the caller's input. `path` locates the invalid value. */
export const invalid = (reason: string, message: string, path?: readonly (string | number)[]) =>
  new StowageError('invalid', reason, message, { path });

/** An outage of a dependency. `cause` is logged and never sent to clients. */
export const unavailable = (reason: string, message: string, cause?: unknown) =>
  new StowageError('unavailable', reason, message, { cause });

/** The error for a missing asset and for an asset without permission: a client cannot distinguish the two. */
export const assetNotFound = () =>
  new StowageError('not-found', 'ASSET_NOT_FOUND', 'There is no such asset.');

/** Returns the kind of any thrown value; `internal` (a bug) unless it is a {@link StowageError}. */
export const kindOf = (error: unknown): ErrorKind =>
  error instanceof StowageError ? error.kind : 'internal';

/** A change that lost too many races. */
export const assetChanging = () =>
  new StowageError('conflict', 'ASSET_CHANGING', 'The asset is being changed by other requests. Try again.');
