import type { ScannerIdentity } from '../scanner.js';
import { printable } from './clamd-replies.js';

const MAX_LABEL = 128;

/**
 * Parses clamd's reply to VERSION: `ClamAV 1.4.6/27850/Fri Nov 20 08:20:00 2026` with number and date of the official
 * signatures, or `ClamAV 1.4.6` without official signatures. The date is the daemon's local time and is read as UTC,
 * the usual time zone of containers.
 * @param suffix appended to the label
 * @returns null if the reply does not come from clamd
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
