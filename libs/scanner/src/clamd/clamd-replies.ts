import type { Verdict } from '../scanner.js';

const MAX_DETAIL = 200;

/** Replaces non-printable characters and limits the length, for logs, records and clients. */
export const printable = (text: string): string => text.replace(/[^\x20-\x7e]+/g, '?').slice(0, MAX_DETAIL);

const unscannable = (why: string): Verdict => ({ outcome: 'unscannable', why });

/** Verdict for a file above the scanner's size limit. */
export const TOO_LARGE = unscannable('It exceeds the size limit of the scanner.');

/**
 * Replies to INSTREAM; the first match counts (clamd/session.c, clamd/scanner.c; measured with 1.4). Null: the reply
 * concerns the daemon, not the content. Exceeded limits and encryption are not malware, although clamd reports them as
 * FOUND.
 */
const REPLIES: readonly (readonly [pattern: RegExp, verdict: (detail: string) => Verdict | null])[] = [
  [/^stream: OK$/, () => ({ outcome: 'clean' })],
  [
    /^stream: Heuristics\.Limits\.Exceeded\b\.?(\w*)\S* FOUND$/,
    (limit) => unscannable(`It exceeds a limit of the scanner (${limit || 'unnamed'}).`),
  ],
  [
    /^stream: Heuristics\.Encrypted\b\.?(\w*)\S* FOUND$/,
    (format) => unscannable(`It is encrypted (${format || 'unnamed'}) and cannot be scanned.`),
  ],
  [/^stream: (.+) FOUND$/s, (signature) => ({ outcome: 'infected', signature })],
  [/^INSTREAM size limit exceeded\. ERROR$/, () => TOO_LARGE],
  // The daemon's disk is full: the content itself is within the size for which the disk must have space.
  [/^Error writing to temporary file\. ERROR$/, () => null],
  [/^(?:stream: )?(.*) ERROR$/s, (message) => ({ outcome: 'error', message })],
];

/** Maps a reply of clamd to a verdict; null if the reply does not concern the content. */
export function verdictOf(reply: string): Verdict | null {
  for (const [pattern, verdict] of REPLIES) {
    const match = pattern.exec(reply);
    if (match !== null) return verdict(printable(match[1] ?? ''));
  }
  return null;
}
