const ENTRIES_PER_WEIGHT = 10;

/**
 * Rate limit weight of a root field: the number of items in a list of inputs, or a tenth of the page size or of the
 * number of ids, rounded up; at least 1.
 */
export function weightOf(args: Readonly<Record<string, unknown>>): number {
  const { inputs, ids, first, last } = args;
  if (Array.isArray(inputs)) return Math.max(1, inputs.length);
  const size = Array.isArray(ids) ? ids.length : (first ?? last);
  return typeof size === 'number' ? Math.max(1, Math.ceil(size / ENTRIES_PER_WEIGHT)) : 1;
}
