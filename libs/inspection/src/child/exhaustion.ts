const CODES: readonly unknown[] = ['ENOMEM', 'Z_MEM_ERROR', 'ERR_MEMORY_ALLOCATION_FAILED'];

/**
 * Whether memory was at its end: of V8, zlib, libvips and its decoders, which all say so in their own words. That says nothing of
 * the file; where a decoder's own limit was passed, the file is hostile.
 */
export const isExhaustion = (error: unknown): boolean =>
  error instanceof Error &&
  (('code' in error && CODES.includes(error.code)) ||
    (/memory|allocat/i.test(error.message) && !/limit/i.test(error.message)));

/** @throws what it is given, when that is exhaustion */
export function rethrowExhaustion(error: unknown): void {
  if (isExhaustion(error)) throw error;
}
