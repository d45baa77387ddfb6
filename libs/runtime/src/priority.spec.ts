import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { getPriority } from 'node:os';
import { expect, it } from '@jest/globals';
import { lowerPriority } from './priority.js';

const groupOf = (pid: number | 'self') => `/proc/${pid}/autogroup`;

it.each([
  ['that leads a session takes it along', true],
  ['of somebody else’s session leaves that alone', false],
])('a process %s', async (_, detached) => {
  const child = spawn('sleep', ['60'], { detached, stdio: 'ignore' });
  const pid = child.pid!;
  try {
    await lowerPriority(7, pid);
    expect(getPriority(pid)).toBe(7);
    if (existsSync(groupOf('self'))) {
      expect(readFileSync(groupOf(pid), 'utf8')).toMatch(detached ? /nice 7$/m : /nice 0$/m);
    }
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
