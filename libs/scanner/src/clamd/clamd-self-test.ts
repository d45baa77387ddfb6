import { EICAR } from '../eicar.js';
import type { Verdict } from '../scanner.js';
import { encryptedArchive, nestedArchive } from './probe-archive.js';

/** Archive depth of the probe: above 100, the highest value of MaxRecursion. */
const NESTING = 128;

interface Probe {
  /**
   * Contains random bytes: clamd caches clean results for each layer, so a client that sends the inner layers of a
   * fixed probe could make clamd report the probe as clean.
   */
  readonly content: () => Buffer;
  readonly isRight: (verdict: Verdict) => boolean;
  readonly complaint: string;
}

const isReported = ({ outcome }: Verdict) => outcome === 'unscannable' || outcome === 'infected';

const PROBES: readonly Probe[] = [
  {
    content: () => EICAR,
    isRight: ({ outcome }) => outcome === 'infected',
    complaint: 'clamd does not detect the EICAR test file: it has no virus signatures (run freshclam).',
  },
  {
    content: () => nestedArchive(NESTING),
    isRight: isReported,
    complaint: 'clamd reports unscanned content as clean: set AlertExceedsMax yes (and ScanArchive yes).',
  },
  {
    content: encryptedArchive,
    isRight: isReported,
    complaint: 'clamd reports encrypted archives as clean: set AlertEncrypted yes.',
  },
];

/** Tests whether a clamd's verdicts can be trusted. @returns the problem for the operator; null if it passed */
export async function selfTest(scan: (content: Buffer) => Promise<Verdict>): Promise<string | null> {
  for (const { content, isRight, complaint } of PROBES) {
    const verdict = await scan(content());
    if (verdict.outcome === 'error') return `clamd fails on a file of the self-test: ${verdict.message}`;
    if (!isRight(verdict)) return complaint;
  }
  return null;
}
