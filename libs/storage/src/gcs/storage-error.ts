import { ApiError } from '@google-cloud/storage';
import { unavailable } from '#libs/domain';

/** Storage answered with an unexpected status. */
export class StorageAnswerError extends Error {
  override readonly name = 'StorageAnswerError';

  constructor(
    readonly status: number,
    /** Google's error reason, e.g. `conditionNotMet`; empty if the body has none. */
    readonly reason: string,
    /** Google's error message. It names bucket, key and account: for logs only, never for clients. */
    readonly detail: string,
  ) {
    super(`Storage answered ${status}${reason === '' ? '' : ` (${reason})`}`);
  }
}

/** Storage gave no usable answer: the connection, the name resolution, the credentials or the deadline failed. */
export class NoAnswerError extends Error {
  override readonly name = 'NoAnswerError';
}

/**
 * Maps an error of the official client to an error without URLs and headers, which may contain access tokens.
 * A TypeError is a bug, not an outage, and is returned unchanged.
 */
export function storageError(error: unknown): unknown {
  const isOurs = error instanceof NoAnswerError || error instanceof StorageAnswerError;
  if (isOurs || error instanceof TypeError) return error;
  if (error instanceof ApiError) {
    const { code, response, errors, message } = error;
    return answerError(response?.statusCode ?? code ?? 0, message, errors?.[0]?.reason);
  }
  const message = error instanceof Error ? error.message : String(error);
  return new NoAnswerError(`No answer from storage: ${message.replace(/https?:\/\/\S+/g, '(URL)')}`);
}

interface AnswerBody {
  readonly error?: { readonly message?: string; readonly errors?: readonly { readonly reason?: string }[] };
}

/** Limits the detail in characters: the body may be a proxy's whole page. */
const MAX_DETAIL = 1000;

/** Builds the error from an answer's body, or from the message that the client made of the body. */
export function answerError(status: number, body: string, reason = ''): StorageAnswerError {
  try {
    const { error } = JSON.parse(body) as AnswerBody;
    return new StorageAnswerError(status, error?.errors?.[0]?.reason ?? reason, error?.message ?? '');
  } catch {
    return new StorageAnswerError(status, reason, body.slice(0, MAX_DETAIL));
  }
}

const TRANSIENT_STATUS = new Set([401, 408, 429]);
const TRANSIENT_REASON = /^(?:rateLimitExceeded|userRateLimitExceeded|quotaExceeded)$/;

/** Whether storage discarded the received bytes because their checksum did not match. */
const isDamaged = ({ status, detail }: StorageAnswerError) => status === 400 && /\bCRC32C\b/i.test(detail);

/**
 * Whether a retry may succeed soon. A rejected token (401) counts as transient because tokens are renewed.
 * @see https://docs.cloud.google.com/storage/docs/retry-strategy
 */
export function isTransient(error: unknown): boolean {
  if (error instanceof NoAnswerError) return true;
  if (!(error instanceof StorageAnswerError)) return false;
  const { status, reason } = error;
  if (status >= 500 || TRANSIENT_STATUS.has(status) || isDamaged(error)) return true;
  return status === 403 && TRANSIENT_REASON.test(reason);
}

const isMissingBucket = (error: unknown) =>
  error instanceof StorageAnswerError &&
  error.status === 404 &&
  /\bbucket does not exist\b/i.test(error.detail);

/** The error for callers of the port when storage gives no usable answer. */
export const storageUnavailable = (cause: unknown) =>
  unavailable('STORAGE_UNAVAILABLE', 'Storage is not available.', cause);

/**
 * Maps an error to the error that callers of the port receive: `unavailable` for a transient error; any other error is
 * a bug and stays unchanged. A missing bucket is `unavailable` too, because callers would otherwise treat every object
 * in the bucket as deleted.
 */
export const portError = (error: unknown): unknown =>
  isTransient(error) || isMissingBucket(error) ? storageUnavailable(error) : error;

/** Whether the object (not its bucket) is missing. */
export const isMissing = (error: unknown) =>
  error instanceof StorageAnswerError && error.status === 404 && !isMissingBucket(error);

/** Whether a precondition failed, so that storage changed nothing. */
export const isChanged = (error: unknown) => error instanceof StorageAnswerError && error.status === 412;
