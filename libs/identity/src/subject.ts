const SUBJECT = /^[^\p{Cc}\p{Cs}]{1,255}$/u;
// A byte order mark is a character of the name: without it, it is another's.
const UTF_8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
/** A byte that UTF-8 does not have. */
const NO_TEXT = '\xff';

/** What a token's `sub` may be, and whom a delegate may name. */
export const isSubject = (value: unknown): value is string =>
  typeof value === 'string' && SUBJECT.test(value);

/** The text of a header whose bytes are UTF-8, undefined when they are not. Node gives headers a character a byte. */
export function textOf(header: string): string | undefined {
  try {
    return UTF_8.decode(Buffer.from(header, 'latin1'));
  } catch {
    return undefined;
  }
}

/** What Node would give, had the value come as a header in UTF-8: the way back from {@link textOf}. What is no text stays none. */
export const headerOf = (value: unknown): string =>
  typeof value === 'string' && value.isWellFormed() ? Buffer.from(value).toString('latin1') : NO_TEXT;
