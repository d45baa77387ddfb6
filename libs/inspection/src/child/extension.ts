import { pathToFileURL } from 'node:url';
import type { FileAccess } from '../extensions.js';
import type { ChildRequest } from './messages.js';
import { type ReadAt, readingFrom } from './readers/read-at.js';

const MAX_READ_BYTES = 16 * 2 ** 20;
const MAX_ALL_BYTES = 2 ** 30;

/** Limits how many bytes a module reads at once, and in all calls together. */
function boundedRead(at: ReadAt): ReadAt {
  let left = MAX_ALL_BYTES;
  return async (offset, length) => {
    if (!(Number.isSafeInteger(length) && length >= 0 && length <= MAX_READ_BYTES)) {
      throw new RangeError(`length must be from 0 to ${MAX_READ_BYTES} bytes`);
    }
    left -= length;
    if (left < 0) throw new RangeError(`more than ${MAX_ALL_BYTES} bytes were read`);
    return at(offset, length);
  };
}

/** Calls a function of a feature's module on a file. @throws the error of the module */
export async function runExtension({
  module,
  export: name,
  file: { path, sizeBytes, mediaType },
}: Extract<ChildRequest, { kind: 'extension' }>): Promise<unknown> {
  const loaded = (await import(pathToFileURL(module).href)) as Record<string, unknown>;
  const run = loaded[name];
  if (typeof run !== 'function') throw new TypeError(`the module does not export the function ${name}`);
  return readingFrom(path, (at) => {
    const file: FileAccess = { sizeBytes, mediaType, read: boundedRead(at) };
    return (run as (file: FileAccess) => Promise<unknown>)(file);
  });
}
