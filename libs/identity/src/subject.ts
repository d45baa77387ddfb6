const SUBJECT = /^[^\p{Cc}\p{Cs}]{1,255}$/u;
// The decoder must keep a byte order mark, since it is part of the name: two owners could differ in it.
const UTF_8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
/** A byte that never occurs in UTF-8. */
const INVALID_UTF_8 = '\xff';

/** Whether a value is a valid `sub` of a token, or a valid subject for delegation. */
export const isSubject = (value: unknown): value is string =>
  typeof value === 'string' && SUBJECT.test(value);

/**
 * Decodes a header as UTF-8, undefined if its bytes are not UTF-8. Node provides headers with one character for each
 * byte.
 */
export function textOf(header: string): string | undefined {
  try {
    return UTF_8.decode(Buffer.from(header, 'latin1'));
  } catch {
    return undefined;
  }
}

/** Encodes a value as Node would provide it in a header, the inverse of {@link textOf}. Invalid text stays invalid. */
export const headerOf = (value: unknown): string =>
  typeof value === 'string' && value.isWellFormed() ? Buffer.from(value).toString('latin1') : INVALID_UTF_8;
