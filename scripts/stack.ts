import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import { readSecrets, type Secrets } from '../apps/local/src/data-folder.ts';

const ROOT = path.resolve(import.meta.dirname, '..');
/** `npm start` keeps a record of each stack here while it runs: scripts/start.mjs. */
const RECORDS = path.join(ROOT, '.local/stacks');
const DEFAULT_PORT = 3000;

interface Place {
  /** Of the API; storage, Pub/Sub and the others use the ports after it. */
  readonly port: number;
  readonly dataFolder: string;
}

export interface Stack {
  readonly port: number;
  readonly secrets: Secrets;
}

/**
 * The embedded stack that a command is meant for: among those that run from this checkout, the one that PORT and DATA_DIR
 * name as far as they are set; where none of these runs, the one that `npm start` would start with the same variables.
 * @throws Error when several run and neither variable tells which, or no stack has run in that data folder yet
 */
export async function localStack(env: NodeJS.ProcessEnv = process.env): Promise<Stack> {
  const { port, dataFolder } = placeOf(env);
  // A secret that was made here would be known to no stack.
  if (!existsSync(path.join(dataFolder, 'secrets.json'))) {
    throw new Error(`No stack has run in ${dataFolder} yet; start one with: npm start`);
  }
  return { port, secrets: await readSecrets(dataFolder) };
}

function placeOf({ PORT, DATA_DIR }: NodeJS.ProcessEnv): Place {
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

function running(): Place[] {
  if (!existsSync(RECORDS)) return [];
  return readdirSync(RECORDS).flatMap((name) => {
    const file = path.join(RECORDS, name);
    try {
      const { pid, port, dataFolder } = JSON.parse(readFileSync(file, 'utf8')) as Place & { pid: number };
      if (isAlive(pid)) return [{ port, dataFolder }];
      // Its launcher was killed.
      rmSync(file, { force: true });
    } catch {
      // Being written, or removed by its launcher.
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
