import { execPath } from 'node:process';
import { afterEach, describe, expect, it } from '@jest/globals';
import { toFrame } from './child/frames.js';
import { SandboxedProcess } from './sandboxed-process.js';

/** Real: a process that says that it is there, and then does something. */
describe('a process', () => {
  let child: SandboxedProcess;
  afterEach(() => child.kill('the end'));

  const ready = `fs.writeSync(3, Buffer.from('${toFrame({ ready: true }).toString('base64')}', 'base64'));`;
  const start = (then: string) => {
    const program = `const fs = require('node:fs'); ${ready} ${then}`;
    child = new SandboxedProcess([execPath, '-e', program], 2 ** 31);
    return child.ready;
  };
  const task = { kind: 'detect', head: Buffer.from('x') } as const;
  const forever = 'setInterval(() => undefined, 1000);';
  const NEVER = 100_000;

  it('that closes its channel and lives on is none', async () => {
    await start(`fs.closeSync(3); ${forever}`);
    expect(await child.ended).toBe('its channel closed');
    expect(child.isAlive).toBe(false);
    await expect(child.run(task, NEVER)).rejects.toThrow('had ended');
  });

  it('that closes it at a task fails that', async () => {
    await start(`fs.readSync(3, Buffer.alloc(65_536)); fs.closeSync(3); ${forever}`);
    await expect(child.run(task, NEVER)).rejects.toThrow('its channel closed');
  });

  it('that ends is known by how it ends', async () => {
    await start('process.exit(7);');
    expect(await child.ended).toBe('exit code 7');
    await start("process.kill(process.pid, 'SIGTERM');");
    expect(await child.ended).toBe('SIGTERM');
  });
});
