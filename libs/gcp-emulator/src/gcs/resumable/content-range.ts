import { ApiError } from '../http/errors.js';

/** Uploads proceed in multiples of this; only the end of the object may be anything else. */
export const QUANTUM = 256 * 1024;

/** What a PUT on a session says it brings: nothing (a question), or bytes from `first` on. */
export interface ContentRange {
  /** `undefined` asks how far the upload has come. */
  first?: number;
  /** Inclusive; `undefined` is the end of the body. One less than `first` when the body is empty. */
  last?: number;
  total?: number;
}

/** How far a session has come. */
export interface Progress {
  stored: number;
  total: number | undefined;
}

/** What to do with the body of a PUT. */
export type Step =
  | { kind: 'report' }
  /** Bytes are left out up to the session's own offset; a body that would go past `limit` is refused. */
  | { kind: 'receive'; first: number; last?: number; limit: number; total: number | undefined }
  /** Answered as plain text, by which clients know these refusals from others with the same status. */
  | { kind: 'refuse'; status: 400 | 503; message: string };

/**
 * Reads the header in all its forms; without it the body is the whole object. The official client writes an empty last chunk as
 * `bytes 0--1/0`.
 */
export function parseContentRange(header: string | undefined): ContentRange {
  if (header === undefined) return { first: 0 };
  const match = /^bytes[ =](?:\*|(\d{1,15})-(\*|-1|\d{1,15}))\/(\*|\d{1,15})$/.exec(header.trim());
  if (match === null) throw invalid('The Content-Range header is not well-formed.');
  const [first, last, total] = match
    .slice(1)
    .map((text: string | undefined) => (text === undefined || text === '*' ? undefined : Number(text)));
  const range = { first, last, total };
  if (first !== undefined && last !== undefined && last < first - 1)
    throw invalid('The range ends before it begins.');
  if (total !== undefined && Math.max(first ?? 0, (last ?? -1) + 1) > total) {
    throw invalid('The range goes past the total size.');
  }
  return range;
}

const invalid = (message: string) => new ApiError('invalid', { message: `Invalid request. ${message}` });

/** Decides what a PUT means for a session. `length` is the body's, when it was announced. */
export function nextStep(
  range: ContentRange,
  { stored, total: known }: Progress,
  length: number | undefined,
): Step {
  const total = range.total ?? known;
  if (known !== undefined && total !== known) throw invalid(`The total size was said to be ${known} before.`);
  if (total !== undefined && total < stored) {
    throw invalid(`More than the total size, ${stored} bytes, is already uploaded.`);
  }
  if (range.first === undefined) {
    if (range.total === undefined || range.total > stored) return { kind: 'report' };
    // All bytes are here, only nobody had said that these were all.
    return { kind: 'receive', first: stored, last: stored - 1, limit: stored, total };
  }
  const { first, last } = range;
  if (first > stored) {
    // Word for word, the two spaces too: https://github.com/googleapis/java-storage tells lost data by it.
    const message =
      `Invalid request.  According to the Content-Range header, the upload offset is ${first} byte(s), ` +
      `which exceeds already uploaded size of ${stored} byte(s).`;
    return { kind: 'refuse', status: 503, message };
  }
  const span = last === undefined ? undefined : last - first + 1;
  if (span !== undefined && length !== undefined && length !== span) {
    throw invalid(`The body has ${length} bytes, but the Content-Range header says ${span}.`);
  }
  if (span !== undefined && span < QUANTUM && first + span !== total) {
    const message =
      `Invalid request.  The number of bytes uploaded is required to be equal or greater than ${QUANTUM}, ` +
      `except for the final request (it's recommended to be the exact multiple of ${QUANTUM}).  ` +
      `The received request contained ${span} bytes, which does not meet this requirement.`;
    return { kind: 'refuse', status: 400, message };
  }
  const limit = Math.min(last === undefined ? Infinity : last + 1, total ?? Infinity);
  return { kind: 'receive', first, last, limit, total };
}
