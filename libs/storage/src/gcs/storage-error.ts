import { ApiError } from '@google-cloud/storage';
import { unavailable } from '#libs/domain';

/** Storage answered, and not with what was asked for. */
export class StorageAnswerError extends Error {
  override readonly name = 'StorageAnswerError';

  constructor(
    readonly status: number,
    /** Google's own word, e.g. `conditionNotMet`; empty where the body has none. */
    readonly reason: string,
    /** Google's sentence. It names bucket, key and account: for logs, never for callers. */
    readonly detail: string,
  ) {
    super(`Storage answered ${status}${reason === '' ? '' : ` (${reason})`}`);
  }
}

/** No usable answer came: the connection, the name service, the credentials or the deadline failed. */
export class NoAnswerError extends Error {
  override readonly name = 'NoAnswerError';
}

/**
 * What is ours of an error that came out of the client, whose own ones carry URLs, headers and with them access tokens.
 * A TypeError is a bug, not an outage, and stays as it is.
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

/** A proxy's whole page is no message. */
const MAX_DETAIL = 1000;

/** What storage said in an answer's body, or what the client made of that. */
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

/** Whether the bytes that arrived were others than were sent: storage has dropped them. */
const isDamaged = ({ status, detail }: StorageAnswerError) => status === 400 && /\bCRC32C\b/i.test(detail);

/**
 * Whether the same call may well succeed in a moment. A token that storage does not accept (401) counts, since tokens
 * are renewed.
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

/**
 * What is thrown to callers of the port: `unavailable` for what may pass; anything else is a bug and stays as it is. A
 * bucket that is not there is `unavailable` too, lest every object in it be taken for deleted.
 */
export const portError = (error: unknown): unknown =>
  isTransient(error) || isMissingBucket(error)
    ? unavailable('STORAGE_UNAVAILABLE', 'Storage is not available.', error)
    : error;

/** Whether the object (not its bucket) is missing. */
export const isMissing = (error: unknown) =>
  error instanceof StorageAnswerError && error.status === 404 && !isMissingBucket(error);

/** Whether a precondition did not hold, so that nothing was done. */
export const isChanged = (error: unknown) => error instanceof StorageAnswerError && error.status === 412;
