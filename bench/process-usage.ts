import { existsSync, readdirSync, readFileSync } from 'node:fs';

/** Clock ticks in a second, as the kernel shows them to programs: proc_pid_stat(5), sysconf(_SC_CLK_TCK). */
const TICKS = 100;

export const needsProc = (): string | null =>
  existsSync('/proc/self/stat')
    ? null
    : 'the use of other processes is read from /proc, which only Linux has';

/** Fields of proc_pid_stat(5) by their numbers there. The name, in parentheses, may hold anything. */
function statOf(pid: number | 'self'): (field: number) => number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (field) => Number(fields[field - 3]);
}

/** Seconds of processor time that a process has used so far, its children apart. */
export function cpuSecondsOf(pid: number): number {
  const field = statOf(pid);
  return (field(14) + field(15)) / TICKS;
}

/** The same of all children of this process that have ended. */
export function cpuSecondsOfEnded(): number {
  const field = statOf('self');
  return (field(16) + field(17)) / TICKS;
}

/** Those that a process has started and that still run, and theirs. */
function descendantsOf(pid: number): number[] {
  try {
    const children = readdirSync(`/proc/${pid}/task`).flatMap((thread) =>
      readFileSync(`/proc/${pid}/task/${thread}/children`, 'utf8').split(' ').filter(Boolean).map(Number),
    );
    return children.flatMap((child) => [child, ...descendantsOf(child)]);
  } catch {
    // It has ended meanwhile.
    return [];
  }
}

/** The sum over those of a process that still run. One that has ended meanwhile counts nothing. */
function sumOfDescendants(pid: number, valueOf: (pid: number) => number): number {
  return descendantsOf(pid).reduce((sum, descendant) => {
    try {
      return sum + valueOf(descendant);
    } catch {
      return sum;
    }
  }, 0);
}

/** Seconds of processor time of all that a process has started so far, whether it still runs or has ended. */
export function cpuSecondsOfChildren(pid: number): number {
  const ended = (of: (field: number) => number) => (of(16) + of(17)) / TICKS;
  return ended(statOf(pid)) + sumOfDescendants(pid, (child) => cpuSecondsOf(child) + ended(statOf(child)));
}

/** The most memory that a process has held at any time, resident, in MiB. */
export function peakMemoryOf(pid: number): number {
  const [, kib] = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
  return Number(kib ?? 0) / 1024;
}

/** The sum of that over all that a process has started and that run now: no less than they have held at once. */
export const peakMemoryOfChildren = (pid: number): number => sumOfDescendants(pid, peakMemoryOf);

const WATCH_MS = 250;

/** The most memory that watched processes have held, each by itself, and their children apart; in MiB. */
export class PeakMemory {
  own = 0;
  children = 0;

  /** Until it is disposed of, which is to be before the process is ended. */
  watch(pid: number): Disposable {
    const look = () => {
      try {
        this.own = Math.max(this.own, peakMemoryOf(pid));
        this.children = Math.max(this.children, peakMemoryOfChildren(pid));
      } catch {
        // It has crashed, which whoever waits for its work finds out.
      }
    };
    // Children come and go; what the process itself has held at most, it tells at the end.
    const timer = setInterval(look, WATCH_MS);
    return {
      [Symbol.dispose]: () => {
        clearInterval(timer);
        look();
      },
    };
  }
}
