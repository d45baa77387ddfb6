import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { getPriority } from 'node:os';
import { expect, it } from '@jest/globals';
import { lowerPriority } from './priority.js';

const fileOf = (pid: number) => `/proc/${pid}/autogroup`;
/** Content of the autogroup file; empty if the kernel has no autogroups or the session has none. */
const groupOf = (pid: number) => (existsSync(fileOf(pid)) ? readFileSync(fileOf(pid), 'utf8') : '');

/** False if /proc is read-only. */
function isSettable(pid: number): boolean {
  try {
    writeFileSync(fileOf(pid), '0');
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EAGAIN';
  }
}

it.each([
  ['a session leader and its autogroup', true],
  ['another process but not its autogroup', false],
])('lowers the priority of %s', async (_, detached) => {
  const child = spawn('sleep', ['60'], { detached, stdio: 'ignore' });
  const pid = child.pid!;
  const changesGroup = detached && isSettable(pid);
  const before = groupOf(pid);
  try {
    await lowerPriority(7, pid);
    expect(getPriority(pid)).toBe(7);
    expect(groupOf(pid)).toBe(changesGroup ? before.replace(/nice \d+$/m, 'nice 7') : before);
  } finally {
    child.kill();
    await once(child, 'exit');
  }
});

it('ignores a process that has exited', async () => {
  const child = spawn('true');
  await once(child, 'exit');
  await expect(lowerPriority(7, child.pid)).resolves.toBeUndefined();
});
