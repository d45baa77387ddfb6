/**
 * Calls `read` at most once every `ms` milliseconds. Calls in between share the last result, which may be a pending
 * promise.
 * @example const depth = atMostEvery(500, () => queue.count());
 */
export function atMostEvery<T>(ms: number, read: () => T): () => T {
  let last: { readonly at: number; readonly result: T } | undefined;
  return () => {
    const now = Date.now();
    if (last === undefined || now - last.at >= ms) last = { at: now, result: read() };
    return last.result;
  };
}
