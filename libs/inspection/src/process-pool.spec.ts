import { afterEach, describe, expect, it } from '@jest/globals';
import { PinoLogger } from 'nestjs-pino';
import { ProcessPool } from './process-pool.js';

/** Real: processes, running a program that exits at once. */
describe('ProcessPool with processes that do not start', () => {
  let pool: ProcessPool;
  afterEach(() => pool.close());

  const failing = (command: () => Promise<readonly string[]>) => {
    const options = { processes: 1, seconds: 1, memoryBytes: 2 ** 30, recycleAfter: 10 };
    pool = new ProcessPool(options, command, new PinoLogger({ pinoHttp: { level: 'silent' } }));
    return pool;
  };
  const task = { kind: 'detect', head: Buffer.from('x'), sizeBytes: 1 } as const;

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
