/** Matches a JSON Pointer below the document's root: https://www.rfc-editor.org/rfc/rfc6901#section-3 */
export const JSON_POINTER = /^(\/([^~/]|~[01])*)+$/;
const INDEX = /^(0|[1-9][0-9]*)$/;

/**
 * Splits a pointer into one name for each level: `/realm_access/roles` gives `realm_access` and `roles`.
 * @throws TypeError unless the text is a pointer that begins with a slash
 */
export function parsePointer(text: string): readonly string[] {
  if (!JSON_POINTER.test(text))
    throw new TypeError('A JSON Pointer must look like /groups or /realm_access/roles.');
  return text
    .slice(1)
    .split('/')
    .map((token) => token.replaceAll('~1', '/').replaceAll('~0', '~'));
}

/** The value at a parsed pointer, undefined if there is none. Inherited properties are not part of the document. */
export function valueAt(document: unknown, pointer: readonly string[]): unknown {
  let value = document;
  for (const token of pointer) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, token)) return undefined;
    if (Array.isArray(value) && !INDEX.test(token)) return undefined;
    value = (value as Record<string, unknown>)[token];
  }
  return value;
}
