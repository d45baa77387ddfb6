import { invalid } from './errors.js';

const IDEMPOTENCY_KEY = /^[^\p{Cc}\p{Cs}]{1,128}$/u;

/** Returns the key with which a client marks repeats of a call, or null. @throws StowageError invalid IDEMPOTENCY_KEY_INVALID */
export function parseIdempotencyKey(key: string | null, path: readonly string[]): string | null {
  if (key === null || IDEMPOTENCY_KEY.test(key)) return key;
  throw invalid(
    'IDEMPOTENCY_KEY_INVALID',
    'idempotencyKey must have 1 to 128 characters and no control characters.',
    path,
  );
}
