import type { Verdict } from '../scanner.js';

const MAX_DETAIL = 200;

/** Of what the daemon says, what can be shown anywhere. */
export const printable = (text: string): string => text.replace(/[^\x20-\x7e]+/g, '?').slice(0, MAX_DETAIL);

const unscannable = (why: string): Verdict => ({ outcome: 'unscannable', why });

/** The scanner takes no file of this size. */
export const TOO_LARGE = unscannable('It is larger than the scanner takes.');

/**
 * The answers to INSTREAM, the first that fits (clamd/session.c, clamd/scanner.c; measured with 1.4). Null: about the
 * daemon, not about the content. Alerts for what exceeds a limit or is encrypted are no malware, though clamd says FOUND.
 */
const REPLIES: readonly (readonly [pattern: RegExp, verdict: (detail: string) => Verdict | null])[] = [
  [/^stream: OK$/, () => ({ outcome: 'clean' })],
  [
    /^stream: Heuristics\.Limits\.Exceeded\b\.?(\w*)\S* FOUND$/,
    (limit) => unscannable(`It exceeds a limit of the scanner (${limit || 'unnamed'}).`),
  ],
  [
    /^stream: Heuristics\.Encrypted\b\.?(\w*)\S* FOUND$/,
    (format) => unscannable(`It is encrypted (${format || 'unnamed'}), so nobody can look into it.`),
  ],
  [/^stream: (.+) FOUND$/s, (signature) => ({ outcome: 'infected', signature })],
  [/^INSTREAM size limit exceeded\. ERROR$/, () => TOO_LARGE],
  // Its disk, not the content: what is sent is no larger than it has to have room for.
  [/^Error writing to temporary file\. ERROR$/, () => null],
  [/^(?:stream: )?(.*) ERROR$/s, (message) => ({ outcome: 'error', message })],
];

/** What an answer of clamd means; null where it is none about the content. */
export function verdictOf(reply: string): Verdict | null {
  for (const [pattern, verdict] of REPLIES) {
    const match = pattern.exec(reply);
    if (match !== null) return verdict(printable(match[1] ?? ''));
  }
  return null;
}
