import { existsSync, readFileSync } from 'node:fs';

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

/** The most memory that a process has held at any time, resident, in MiB. */
export function peakMemoryOf(pid: number): number {
  const [, kib] = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
  return Number(kib) / 1024;
}
