import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { setPriority } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';

/** Linux lets an ordinary user say so ten times a second, all processes together. */
const AGAIN_MS = 150;
const MAX_TURNS = 20;

/**
 * Lets others on the machine go first, by a nice value from 0 to 19 (setpriority(2)). On Linux that is each thread's own; and
 * where a session is scheduled as one, which makes nothing of what is in it, the session has it too, if the process leads one:
 * https://man7.org/linux/man-pages/man7/sched.7.html (The autogroup feature). Whatever cannot be done is left as it is.
 */
export async function lowerPriority(nice: number, pid = process.pid): Promise<void> {
  for (const thread of threadsOf(pid)) attempt(() => setPriority(thread, nice));
  if (!leadsSession(pid)) return;
  const sayIt = () => attempt(() => writeFileSync(`/proc/${pid}/autogroup`, String(nice)));
  for (let turn = 0; sayIt() === 'EAGAIN' && turn < MAX_TURNS; turn++) {
    await delay(AGAIN_MS, undefined, { ref: false });
  }
}

/** The code of what went wrong, if anything did: it has ended, or the system has no such thing. */
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
    // The name, in parentheses, may hold anything; the session is field 6 (proc_pid_stat(5)).
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[3]) === pid;
  } catch {
    return false;
  }
}
