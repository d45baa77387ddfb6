import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { execPath } from 'node:process';
import { afterEach, describe, expect, it } from '@jest/globals';
import { PinoLogger } from 'nestjs-pino';
import { toFrame } from './child/frames.js';
import { ProcessPool } from './process-pool.js';

const task = { kind: 'detect', head: Buffer.from('x'), sizeBytes: 1 } as const;
const logger = new PinoLogger({ pinoHttp: { level: 'silent' } });

/** Real: processes, running a program that exits at once. */
describe('ProcessPool with processes that do not start', () => {
  let pool: ProcessPool;
  afterEach(() => pool.close());

  const failing = (command: () => Promise<readonly string[]>) => {
    const options = { processes: 1, seconds: 1, memoryBytes: 2 ** 30, recycleAfter: 10 };
    pool = new ProcessPool(options, command, logger);
    return pool;
  };

  it.each([
    ['exits', '/bin/false'],
    ['does not exist', '/nowhere/false'],
  ])('doubles its delay after each failure when the program %s', async (_, program) => {
    const { promise: fifth, resolve } = Promise.withResolvers<number>();
    const times: number[] = [];
    failing(() => {
      times.push(performance.now());
      if (times.length === 5) resolve(times[4]! - times[0]!);
      return Promise.resolve([program]);
    });
    await expect(pool.run(task)).rejects.toMatchObject({ kind: 'unavailable' });
    expect(() => pool.check()).toThrow();
    expect(await fifth).toBeGreaterThanOrEqual(100 + 200 + 400 + 800 - 10);
  });

  it('closes during a delay and starts no more processes', async () => {
    let starts = 0;
    failing(() => {
      starts++;
      return Promise.reject(new Error('no way'));
    });
    await expect(pool.run(task)).rejects.toMatchObject({ kind: 'unavailable' });
    await pool.close();
    const startsAtClose = starts;
    await expect(pool.run(task)).rejects.toMatchObject({ kind: 'unavailable' });
    expect(starts).toBe(startsAtClose);
  });
});

/** Real: processes, which answer each task with the number of the process. */
describe('ProcessPool with a process whose channel broke', () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'pool-'));
  const isClosed = path.join(folder, 'closed');
  afterEach(() => rmSync(folder, { recursive: true }));

  const ready = toFrame({ ready: true }).toString('base64');
  const program = (number: number) => `
    const fs = require('node:fs');
    const task = Buffer.alloc(65_536);
    const answer = () => {
      const id = /"id":"([^"]+)"/.exec(task.toString('latin1', 0, fs.readSync(3, task)))[1];
      const text = JSON.stringify({ id, cpuSeconds: 0, value: ${number} });
      const head = Buffer.alloc(8);
      head.writeUInt32BE(text.length);
      fs.writeSync(3, Buffer.concat([head, Buffer.from(text)]));
    };
    fs.writeSync(3, Buffer.from('${ready}', 'base64'));
    answer();
    if (${number} === 1) {
      fs.closeSync(3);
      fs.writeFileSync('${isClosed}', '');
    } else answer();
    setInterval(() => undefined, 1000);`;

  it('gives the next task to another process', async () => {
    let starts = 0;
    const options = { processes: 1, seconds: 100_000, memoryBytes: 2 ** 31, recycleAfter: 10 };
    const pool = new ProcessPool(options, () => Promise.resolve([execPath, '-e', program(++starts)]), logger);
    try {
      expect(await pool.run(task)).toBe(1);
      // Waits without the event loop, so that the pool does not notice the closed channel.
      const wait = ['-c', 'until [ -e "$0" ]; do sleep 0.05; done', isClosed];
      expect(spawnSync('/bin/sh', wait, { timeout: 300_000 }).status).toBe(0);
      expect(await pool.run(task)).toBe(2);
    } finally {
      await pool.close();
    }
  });
});
