import { EICAR } from '../eicar.js';
import type { Verdict } from '../scanner.js';
import { encryptedArchive, nestedArchive } from './probe-archive.js';

/** The most that MaxRecursion can be set to is 100. */
const NESTING = 128;

interface Probe {
  /**
   * With random bytes inside: clamd remembers what it found clean, layer by layer, and whoever could send it the inner
   * layers of a known probe, few at a time, could have it call the whole clean.
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
    complaint: 'clamd does not know the EICAR test file: it has no signatures of viruses (run freshclam).',
  },
  {
    content: () => nestedArchive(NESTING),
    isRight: isReported,
    complaint: 'clamd calls clean what it did not look into: set AlertExceedsMax yes (and ScanArchive yes).',
  },
  {
    content: encryptedArchive,
    isRight: isReported,
    complaint: 'clamd calls encrypted archives clean: set AlertEncrypted yes.',
  },
];

/** Why the verdicts of a clamd cannot be trusted; null when they can. */
export async function selfTest(scan: (content: Buffer) => Promise<Verdict>): Promise<string | null> {
  for (const { content, isRight, complaint } of PROBES) {
    const verdict = await scan(content());
    if (verdict.outcome === 'error') return `clamd fails on a file of its self test: ${verdict.message}`;
    if (!isRight(verdict)) return complaint;
  }
  return null;
}
