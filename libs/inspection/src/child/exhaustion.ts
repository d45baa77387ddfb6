import { types } from 'node:util';

const CODES: readonly unknown[] = ['ENOMEM', 'Z_MEM_ERROR', 'ERR_MEMORY_ALLOCATION_FAILED'];
/** Both are said of a read past the end of a buffer. */
const PAST_END: readonly unknown[] = ['ERR_BUFFER_OUT_OF_BOUNDS', 'ERR_OUT_OF_RANGE'];

const codeOf = (error: unknown) => (types.isNativeError(error) && 'code' in error ? error.code : null);

/** Whether something was read where a buffer has ended: the file ends too soon, or points out of itself. */
export const isPastEnd = (error: unknown): boolean => PAST_END.includes(codeOf(error));

/**
 * Whether memory was at its end: of V8, zlib, libvips and its decoders, which all say so in their own words. That says nothing of
 * the file; where a decoder's own limit was passed, the file is hostile.
 */
export const isExhaustion = (error: unknown): boolean =>
  CODES.includes(codeOf(error)) ||
  // What is out of bounds is "memory", too.
  (types.isNativeError(error) &&
    !isPastEnd(error) &&
    /memory|allocat/i.test(error.message) &&
    !/limit/i.test(error.message));

/** @throws what it is given, when that is exhaustion */
export function rethrowExhaustion(error: unknown): void {
  if (isExhaustion(error)) throw error;
}
