/** Settings of a cloud resource, in the form that its API uses. */
export type Fields = Readonly<Record<string, unknown>>;

/** One setting whose actual value differs from the wanted value. */
export interface FieldDifference {
  /** Path of the field, e.g. `retryPolicy.minimumBackoff.seconds`, `cors[0].origin`. */
  readonly field: string;
  /** The actual value; null if the field is not set. */
  readonly from: unknown;
  readonly to: unknown;
}

const isFields = (value: unknown): value is Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const isScalar = (value: unknown): value is string | number | boolean =>
  ['string', 'number', 'boolean'].includes(typeof value);

/**
 * Lists the fields of `wanted` that differ in `actual`. Fields that `wanted` does not name are ignored; lists must
 * match item by item. Null means not set. Scalars are compared as text because the APIs return 64-bit numbers as
 * strings.
 */
export function differences(field: string, actual: unknown, wanted: unknown): FieldDifference[] {
  const here = [{ field, from: actual ?? null, to: wanted }];
  if (wanted === null) return actual === null || actual === undefined ? [] : here;
  if (Array.isArray(wanted)) {
    if (!Array.isArray(actual) || actual.length !== wanted.length) return here;
    const items = wanted.flatMap((item, index) => differences(`${field}[${index}]`, actual[index], item));
    // For a list of scalars, reporting the whole list is clearer than reporting one item.
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
