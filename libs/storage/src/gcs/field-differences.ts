/** Settings of a resource, as its API has them. */
export type Fields = Readonly<Record<string, unknown>>;

/** One setting that is not as it has to be. */
export interface FieldDifference {
  /** Path of the field, e.g. `retryPolicy.minimumBackoff.seconds`, `cors[0].origin`. */
  readonly field: string;
  /** Null: not set. */
  readonly from: unknown;
  readonly to: unknown;
}

const isFields = (value: unknown): value is Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const isScalar = (value: unknown): value is string | number | boolean =>
  ['string', 'number', 'boolean'].includes(typeof value);

/**
 * What of `wanted` is not so. What it does not name may be as it likes; a list has to be the same, item by item. Null stands
 * for not set; 64-bit numbers come as text.
 */
export function differences(field: string, actual: unknown, wanted: unknown): FieldDifference[] {
  const here = [{ field, from: actual ?? null, to: wanted }];
  if (wanted === null) return actual === null || actual === undefined ? [] : here;
  if (Array.isArray(wanted)) {
    if (!Array.isArray(actual) || actual.length !== wanted.length) return here;
    const items = wanted.flatMap((item, index) => differences(`${field}[${index}]`, actual[index], item));
    // Of a list of words the whole list says more than the word that is another.
    return items.length > 0 && wanted.every(isScalar) ? here : items;
  }
  if (isFields(wanted)) {
    if (!isFields(actual)) return here;
    return Object.entries(wanted).flatMap(([name, value]) =>
      differences(`${field}.${name}`, actual[name], value),
    );
  }
  return isScalar(actual) && isScalar(wanted) && String(actual) === String(wanted) ? [] : here;
}
