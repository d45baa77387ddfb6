import { existsSync, readdirSync, readFileSync } from 'node:fs';

/** Clock ticks per second in /proc: proc_pid_stat(5), sysconf(_SC_CLK_TCK). */
const TICKS = 100;

export const needsProc = (): string | null =>
  existsSync('/proc/self/stat') ? null : 'the usage of other processes is read from /proc, which needs Linux';

/** Returns fields of proc_pid_stat(5) by their numbers there. The process name, in parentheses, may contain spaces. */
function statOf(pid: number | 'self'): (field: number) => number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (field) => Number(fields[field - 3]);
}

/** Processor time in seconds that a process has used so far, without its children. */
export function cpuSecondsOf(pid: number): number {
  const field = statOf(pid);
  return (field(14) + field(15)) / TICKS;
}

/** Processor time in seconds of all children of this process that have exited. */
export function cpuSecondsOfEnded(): number {
  const field = statOf('self');
  return (field(16) + field(17)) / TICKS;
}

/** Process ids of the running descendants of a process. */
function descendantsOf(pid: number): number[] {
  try {
    const children = readdirSync(`/proc/${pid}/task`).flatMap((thread) =>
      readFileSync(`/proc/${pid}/task/${thread}/children`, 'utf8').split(' ').filter(Boolean).map(Number),
    );
    return children.flatMap((child) => [child, ...descendantsOf(child)]);
  } catch {
    // The process has exited meanwhile.
    return [];
  }
}

/** Sums a value over the running descendants of a process. A process that exits meanwhile counts as 0. */
function sumOfDescendants(pid: number, valueOf: (pid: number) => number): number {
  return descendantsOf(pid).reduce((sum, descendant) => {
    try {
      return sum + valueOf(descendant);
    } catch {
      return sum;
    }
  }, 0);
}

/** Processor time in seconds of all descendants of a process so far, running or exited. */
export function cpuSecondsOfChildren(pid: number): number {
  const ended = (of: (field: number) => number) => (of(16) + of(17)) / TICKS;
  return ended(statOf(pid)) + sumOfDescendants(pid, (child) => cpuSecondsOf(child) + ended(statOf(child)));
}

/** Peak resident memory of a process in MiB. */
export function peakMemoryOf(pid: number): number {
  const [, kib] = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
  return Number(kib ?? 0) / 1024;
}

/** Sum of the peak memory of all running descendants in MiB: an upper bound of their memory at any one time. */
const peakMemoryOfChildren = (pid: number): number => sumOfDescendants(pid, peakMemoryOf);

const WATCH_MS = 250;

/** Peak memory of the watched processes in MiB: the maximum of one process, and of the children of one process. */
export class PeakMemory {
  own = 0;
  children = 0;

  /** Watches a process until the result is disposed, which must happen before the process exits. */
  watch(pid: number): Disposable {
    const sample = () => {
      try {
        this.own = Math.max(this.own, peakMemoryOf(pid));
        this.children = Math.max(this.children, peakMemoryOfChildren(pid));
      } catch {
        // The process has crashed, which the code that waits for its work reports.
      }
    };
    // Polls because children come and go. The process's own peak is read again at the end.
    const timer = setInterval(sample, WATCH_MS);
    return {
      [Symbol.dispose]: () => {
        clearInterval(timer);
        sample();
      },
    };
  }
}
