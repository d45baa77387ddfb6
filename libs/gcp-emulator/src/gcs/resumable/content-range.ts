import { ApiError } from '../http/errors.js';

/** Size in bytes of which chunks must be a multiple; only the last chunk of an object may have another size. */
export const QUANTUM = 256 * 1024;

/** The parsed Content-Range of a PUT on a session: a progress query, or bytes from `first` on. */
export interface ContentRange {
  /** Undefined for a progress query. */
  first?: number;
  /** Inclusive. Undefined means up to the end of the body; one less than `first` means an empty body. */
  last?: number;
  total?: number;
}

/** Progress of a session, in bytes. */
export interface Progress {
  stored: number;
  total: number | undefined;
}

/** How to handle a PUT on a session. */
export type Step =
  | { kind: 'report' }
  /** Bytes before the session's own offset are skipped; a body that would exceed `limit` is rejected. */
  | { kind: 'receive'; first: number; last?: number; limit: number; total: number | undefined }
  /** Rejected in plain text, by which clients tell these errors from others with the same status. */
  | { kind: 'refuse'; status: 400 | 503; message: string };

/**
 * Parses the header in all its forms; without the header, the body is the whole object. The official client writes an
 * empty last chunk as `bytes 0--1/0`.
 * @throws {ApiError} invalid
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

/**
 * Decides how to handle a PUT on a session.
 * @param length announced length of the body in bytes, if any
 * @throws {ApiError} invalid when the range contradicts the session or the body
 */
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
    // All bytes are stored, but no earlier request said that they were the whole object.
    return { kind: 'receive', first: stored, last: stored - 1, limit: stored, total };
  }
  const { first, last } = range;
  if (first > stored) {
    // Exact wording, with both spaces: https://github.com/googleapis/java-storage detects lost data by this message.
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
