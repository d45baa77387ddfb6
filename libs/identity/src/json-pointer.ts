/** A JSON Pointer to something within a document: https://www.rfc-editor.org/rfc/rfc6901#section-3 */
export const JSON_POINTER = /^(\/([^~/]|~[01])*)+$/;
const INDEX = /^(0|[1-9][0-9]*)$/;

/**
 * The names that lead to a value, one for each level: `/realm_access/roles` gives `realm_access` and `roles`.
 * @throws TypeError unless it is a pointer that begins with a slash
 */
export function parsePointer(text: string): readonly string[] {
  if (!JSON_POINTER.test(text))
    throw new TypeError('A JSON Pointer looks like /groups or /realm_access/roles.');
  return text
    .slice(1)
    .split('/')
    .map((token) => token.replaceAll('~1', '/').replaceAll('~0', '~'));
}

/** The value that {@link parsePointer} leads to, undefined when there is none. What every object inherits is not in a document. */
export function valueAt(document: unknown, pointer: readonly string[]): unknown {
  let value = document;
  for (const token of pointer) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, token)) return undefined;
    if (Array.isArray(value) && !INDEX.test(token)) return undefined;
    value = (value as Record<string, unknown>)[token];
  }
  return value;
}
