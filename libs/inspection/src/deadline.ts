import type { ProcessUsage } from './process-usage.js';

/**
 * Why a task must end, judged by its usage before and now: `seconds` limit its processor time, and the time that passed without what
 * it waited for a processor. Null while it is within both.
 */
export function overrunOf(
  seconds: number,
  { before, now, elapsedMs }: { before: ProcessUsage; now: ProcessUsage; elapsedMs: number },
): string | null {
  if (now.cpuSeconds - before.cpuSeconds > seconds) return `not done after ${seconds} s of processor time`;
  const waits = [...now.waits].map(([thread, ms]) => ms - (before.waits.get(thread) ?? 0));
  if (elapsedMs - Math.max(0, ...waits) > seconds * 1000) return `not done after ${seconds} s`;
  return null;
}
