import { readdirSync, readFileSync } from 'node:fs';

/** Resources that a process and all its descendants use, as counted by the kernel. */
export interface ProcessUsage {
  /** Processor time since their start, including ended descendants that were waited for. */
  readonly cpuSeconds: number;
  readonly residentBytes: number;
  /** Time that each thread was runnable but had no processor, in milliseconds, by thread id. */
  readonly waits: ReadonlyMap<string, number>;
}

/** USER_HZ of /proc, on every architecture that Node.js supports. */
const TICKS_PER_SECOND = 100;

/**
 * Reads the usage from /proc, so that it does not depend on what the processes claim. All values are zero on a system
 * without /proc. Descendants are found through https://man7.org/linux/man-pages/man5/proc_tid_children.5.html; on a
 * kernel without that file (a build option) only the process itself counts.
 */
export function usageOf(pid: number): ProcessUsage {
  const waits = new Map<string, number>();
  let cpuSeconds = 0;
  let residentBytes = 0;
  for (const member of treeOf(pid)) {
    const folder = `/proc/${member}`;
    cpuSeconds += cpuSecondsOf(folder);
    const resident = /^VmRSS:\s*(\d+) kB$/m.exec(contentOf(`${folder}/status`))?.[1];
    residentBytes += Number(resident ?? 0) * 1024;
    for (const thread of namesIn(`${folder}/task`)) {
      // https://docs.kernel.org/scheduler/sched-stats.html (/proc/<pid>/schedstat)
      const nanoseconds = contentOf(`${folder}/task/${thread}/schedstat`).split(' ')[1];
      waits.set(thread, Number(nanoseconds ?? 0) / 1e6);
    }
  }
  return { cpuSeconds, residentBytes, waits };
}

/** Returns the ids of the process and its descendants. */
export function treeOf(pid: number): number[] {
  const found = [pid];
  for (const member of found) {
    for (const thread of namesIn(`/proc/${member}/task`)) {
      const children = contentOf(`/proc/${member}/task/${thread}/children`).split(' ');
      for (const child of children) if (child !== '') found.push(Number(child));
    }
  }
  return found;
}

function cpuSecondsOf(folder: string): number {
  const stat = contentOf(`${folder}/stat`);
  // The name, in parentheses, may contain any character. Fields 14 to 17: utime, stime, cutime, cstime (proc_pid_stat(5)).
  const times = stat
    .slice(stat.lastIndexOf(')') + 2)
    .split(' ')
    .slice(11, 15);
  return times.reduce((sum, ticks) => sum + Number(ticks), 0) / TICKS_PER_SECOND;
}

/** Returns the text of a file, or an empty one when the process has ended. */
function contentOf(file: string): string {
  try {
    return readFileSync(file, 'latin1');
  } catch {
    return '';
  }
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}
