import type { ProcessUsage } from './process-usage.js';

/**
 * Returns why a task must end, or null while it is within `seconds`, which limits its processor time and its wall time.
 * The wall time excludes the longest wait of one of its threads for a processor, so that a busy machine fails no file.
 */
export function findOverrun(
  seconds: number,
  { before, now, elapsedMs }: { before: ProcessUsage; now: ProcessUsage; elapsedMs: number },
): string | null {
  if (now.cpuSeconds - before.cpuSeconds > seconds) return `not done after ${seconds} s of processor time`;
  const waits = [...now.waits].map(([thread, ms]) => ms - (before.waits.get(thread) ?? 0));
  if (elapsedMs - Math.max(0, ...waits) > seconds * 1000) return `not done after ${seconds} s`;
  return null;
}
