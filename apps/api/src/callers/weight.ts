const ENTRIES_PER_WEIGHT = 10;

/**
 * What a root field weighs: 1; a list of inputs as much as it has items; a page, or a list of ids, 1 for every ten
 * entries that it may have.
 */
export function weightOf(args: Readonly<Record<string, unknown>>): number {
  const { inputs, ids, first, last } = args;
  if (Array.isArray(inputs)) return Math.max(1, inputs.length);
  const size = Array.isArray(ids) ? ids.length : (first ?? last);
  return typeof size === 'number' ? Math.max(1, Math.ceil(size / ENTRIES_PER_WEIGHT)) : 1;
}
