import { types } from 'node:util';

const CODES: readonly unknown[] = ['ENOMEM', 'Z_MEM_ERROR', 'ERR_MEMORY_ALLOCATION_FAILED'];
/** Error codes of Node.js for a read past the end of a buffer. */
const PAST_END: readonly unknown[] = ['ERR_BUFFER_OUT_OF_BOUNDS', 'ERR_OUT_OF_RANGE'];

const codeOf = (error: unknown) => (types.isNativeError(error) && 'code' in error ? error.code : null);

/** Whether an error is a read past the end of a buffer: the file is truncated, or has an offset outside itself. */
export const isPastEnd = (error: unknown): boolean => PAST_END.includes(codeOf(error));

/**
 * Whether an error means that memory is exhausted, which V8, zlib, libvips and its decoders report in their own words.
 * Exhausted memory says nothing about the file. An exceeded limit of a decoder does not count: it means a hostile file.
 */
export const isOutOfMemory = (error: unknown): boolean =>
  CODES.includes(codeOf(error)) ||
  // The messages of out-of-bounds reads contain "memory", too.
  (types.isNativeError(error) &&
    !isPastEnd(error) &&
    /memory|allocat/i.test(error.message) &&
    !/limit/i.test(error.message));

/** @throws the given error, when it means that memory is exhausted */
export function rethrowOutOfMemory(error: unknown): void {
  if (isOutOfMemory(error)) throw error;
}
