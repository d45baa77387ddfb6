import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { setPriority } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';

/** Linux allows an unprivileged user to write the autogroup file ten times per second, over all processes. */
const RETRY_MS = 150;
const MAX_ATTEMPTS = 20;

/**
 * Lowers the CPU priority of a process. On Linux the nice value belongs to each thread. If the kernel schedules
 * sessions as groups, a thread's value has no effect outside its session, so the session's value is set too if the
 * process leads it: https://man7.org/linux/man-pages/man7/sched.7.html (The autogroup feature). Failures are ignored.
 * @param nice 0 (normal) to 19 (lowest), see setpriority(2)
 */
export async function lowerPriority(nice: number, pid = process.pid): Promise<void> {
  for (const thread of threadsOf(pid)) attempt(() => setPriority(thread, nice));
  if (!leadsSession(pid)) return;
  const setAutogroup = () => attempt(() => writeFileSync(`/proc/${pid}/autogroup`, String(nice)));
  for (let count = 0; setAutogroup() === 'EAGAIN' && count < MAX_ATTEMPTS; count++) {
    await delay(RETRY_MS, undefined, { ref: false });
  }
}

/** Returns the error code if the call failed, e.g. because the process has exited or the system lacks the feature. */
function attempt(act: () => void): string | undefined {
  try {
    act();
    return undefined;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code;
  }
}

function threadsOf(pid: number): number[] {
  try {
    return readdirSync(`/proc/${pid}/task`).map(Number);
  } catch {
    return [pid];
  }
}

function leadsSession(pid: number): boolean {
  try {
    // The command name, in parentheses, may contain any character; the session id is field 6 (proc_pid_stat(5)).
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[3]) === pid;
  } catch {
    return false;
  }
}
