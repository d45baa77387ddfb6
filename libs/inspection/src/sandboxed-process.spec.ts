import { execPath } from 'node:process';
import { afterEach, describe, expect, it } from '@jest/globals';
import { toFrame } from './child/frames.js';
import { SandboxedProcess } from './sandboxed-process.js';

/** Real: a child process that reports that it is ready and then runs a script. */
describe('SandboxedProcess', () => {
  let child: SandboxedProcess;
  afterEach(() => child.kill('test ended'));

  const ready = `fs.writeSync(3, Buffer.from('${toFrame({ ready: true }).toString('base64')}', 'base64'));`;
  const start = (script: string) => {
    const program = `const fs = require('node:fs'); ${ready} ${script}`;
    child = new SandboxedProcess([execPath, '-e', program], 2 ** 31);
    return child.ready;
  };
  const task = { kind: 'detect', head: Buffer.from('x'), sizeBytes: 1 } as const;
  const forever = 'setInterval(() => undefined, 1000);';
  const NEVER = 100_000;

  it('treats a closed channel as the end of a process that still runs', async () => {
    await start(`fs.closeSync(3); ${forever}`);
    expect(await child.ended).toBe('its channel closed');
    expect(child.isAlive).toBe(false);
    await expect(child.run(task, NEVER)).rejects.toThrow('had ended');
  });

  it('fails a task during which the channel closes', async () => {
    await start(`fs.readSync(3, Buffer.alloc(65_536)); fs.closeSync(3); ${forever}`);
    await expect(child.run(task, NEVER)).rejects.toThrow('its channel closed');
  });

  it('reports the exit code or the signal that ended the process', async () => {
    await start('process.exit(7);');
    expect(await child.ended).toBe('exit code 7');
    await start("process.kill(process.pid, 'SIGTERM');");
    expect(await child.ended).toBe('SIGTERM');
  });
});
