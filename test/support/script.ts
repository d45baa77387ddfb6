import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import type { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';

const SCRIPTS = path.resolve(import.meta.dirname, '../../scripts');

export interface ScriptResult {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Receives the process of a script, for example to send it a signal. */
export type OnStart = (child: ChildProcessByStdio<null, Readable, Readable>) => void;

/**
 * Runs a script as `npm run` does: in the project's folder, with the user's folder in INIT_CWD.
 * @param script path from the folder of scripts
 */
export async function runScript(
  script: string,
  args: readonly string[],
  env: NodeJS.ProcessEnv = {},
  onStart?: OnStart,
): Promise<ScriptResult> {
  const child = spawn(process.execPath, [path.join(SCRIPTS, script), ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, NODE_OPTIONS: '', PORT: '', DATA_DIR: '', ...env },
  });
  onStart?.(child);
  const output = Promise.all([text(child.stdout), text(child.stderr)]);
  const [code] = (await once(child, 'close')) as [number | null];
  const [stdout, stderr] = await output;
  return { code, stdout, stderr };
}
