import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { getPriority } from 'node:os';
import { expect, it } from '@jest/globals';
import { lowerPriority } from './priority.js';

const fileOf = (pid: number) => `/proc/${pid}/autogroup`;
/** Empty where there are no groups, or none for this session. */
const groupOf = (pid: number) => (existsSync(fileOf(pid)) ? readFileSync(fileOf(pid), 'utf8') : '');

/** Not where /proc cannot be written. */
function isSettable(pid: number): boolean {
  try {
    writeFileSync(fileOf(pid), '0');
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EAGAIN';
  }
}

it.each([
  ['that leads a session takes it along', true],
  ['of somebody else’s session leaves that alone', false],
])('a process %s', async (_, detached) => {
  const child = spawn('sleep', ['60'], { detached, stdio: 'ignore' });
  const pid = child.pid!;
  const takesAlong = detached && isSettable(pid);
  const before = groupOf(pid);
  try {
    await lowerPriority(7, pid);
    expect(getPriority(pid)).toBe(7);
    expect(groupOf(pid)).toBe(takesAlong ? before.replace(/nice \d+$/m, 'nice 7') : before);
  } finally {
    child.kill();
    await once(child, 'exit');
  }
});

it('a process that is gone is no error', async () => {
  const child = spawn('true');
  await once(child, 'exit');
  await expect(lowerPriority(7, child.pid)).resolves.toBeUndefined();
});
