import type { ScannerIdentity } from '../scanner.js';
import { printable } from './clamd-replies.js';

const MAX_LABEL = 128;

/**
 * What clamd answers to VERSION: `ClamAV 1.4.6/27850/Fri Nov 20 08:20:00 2026`, the number and date of the official
 * signatures, or `ClamAV 1.4.6` where there are none of those. The date is the daemon's local time; it is taken for UTC,
 * as it is in containers. Null: it is not clamd that answered. `suffix` ends the label.
 */
export function parseVersion(reply: string, suffix = ''): ScannerIdentity | null {
  const [label, date] = /^ClamAV \d[^/]*(?:\/\d+\/(.+))?/.exec(reply) ?? [];
  if (label === undefined) return null;
  const end = suffix === '' ? '' : ` ${suffix}`;
  const ms = date === undefined ? NaN : Date.parse(`${date} UTC`);
  return {
    label: printable(label).slice(0, MAX_LABEL - end.length) + end,
    signaturesAt: Number.isNaN(ms) ? null : new Date(ms),
  };
}
