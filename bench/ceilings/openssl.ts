import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { cpuSecondsOfEnded } from '../process-usage.ts';

export const needsOpenssl = (): string | null =>
  spawnSync('openssl', ['version']).status === 0 ? null : 'openssl is not on the PATH';

/** Processor time in seconds in which the openssl command hashes the files one after another. */
export async function opensslSeconds(files: readonly string[]): Promise<number> {
  const before = cpuSecondsOfEnded();
  const openssl = spawn('openssl', ['dgst', '-sha256', '-r', ...files], {
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  const [code] = (await once(openssl, 'exit')) as [number | null];
  if (code !== 0) throw new Error(`openssl ended with code ${code}`);
  return cpuSecondsOfEnded() - before;
}
