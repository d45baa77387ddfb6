import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import { readSecrets, type Secrets } from '../apps/local/src/data-folder.ts';

const ROOT = path.resolve(import.meta.dirname, '..');
/** `npm start` writes a record of each running stack to this folder: scripts/start.mjs. */
const RECORDS = path.join(ROOT, '.local/stacks');
const DEFAULT_PORT = 3000;

interface StackLocation {
  /** Port of the API; the other servers use the ports after it. */
  readonly port: number;
  readonly dataFolder: string;
}

export interface Stack {
  readonly port: number;
  readonly secrets: Secrets;
}

/**
 * Finds the embedded stack for a command: the running stack of this checkout that matches PORT and DATA_DIR, as far as they
 * are set. If none is running, the location is the one that `npm start` would use with the same variables.
 * @throws Error if several running stacks match, or no stack has run in the data folder yet
 */
export async function localStack(env: NodeJS.ProcessEnv = process.env): Promise<Stack> {
  const { port, dataFolder } = locationOf(env);
  // readSecrets() would generate secrets that no stack knows.
  if (!existsSync(path.join(dataFolder, 'secrets.json'))) {
    throw new Error(`No stack has run in ${dataFolder} yet; start one with: npm start`);
  }
  return { port, secrets: await readSecrets(dataFolder) };
}

function locationOf({ PORT, DATA_DIR }: NodeJS.ProcessEnv): StackLocation {
  const wanted = {
    port: Number(PORT || DEFAULT_PORT),
    dataFolder: path.resolve(DATA_DIR || path.join(ROOT, '.local')),
  };
  const found = running().filter(
    ({ port, dataFolder }) =>
      (!PORT || port === wanted.port) && (!DATA_DIR || dataFolder === wanted.dataFolder),
  );
  if (found.length > 1) {
    const choices = found.map(({ port, dataFolder }) => `  PORT=${port}  (${dataFolder})`);
    throw new Error(`Several stacks are running; choose one with PORT:\n${choices.join('\n')}`);
  }
  return found[0] ?? wanted;
}

function running(): StackLocation[] {
  if (!existsSync(RECORDS)) return [];
  return readdirSync(RECORDS).flatMap((name) => {
    const file = path.join(RECORDS, name);
    try {
      const { pid, port, dataFolder } = JSON.parse(readFileSync(file, 'utf8')) as StackLocation & {
        pid: number;
      };
      if (isAlive(pid)) return [{ port, dataFolder }];
      // The stack's launcher was killed before it could remove the record.
      rmSync(file, { force: true });
    } catch {
      // The record is being written or removed by its launcher.
    }
    return [];
  });
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
