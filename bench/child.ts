import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';

/** Waits for the next message of a child process. @throws Error if the child exits first */
export async function messageOf<Message>(child: ChildProcess): Promise<Message> {
  const waiting = new AbortController();
  const { signal } = waiting;
  const ended = once(child, 'exit', { signal }).then(([code]) => {
    throw new Error(`${child.spawnfile} ended with code ${code}: ${child.spawnargs.at(-1)}`);
  });
  try {
    const [message] = (await Promise.race([once(child, 'message', { signal }), ended])) as [Message];
    return message;
  } finally {
    waiting.abort();
    ended.catch(() => undefined);
  }
}

/** Starts a program of this folder as a child process, which exits when its channel closes. */
export const forkProgram = (name: string, env: NodeJS.ProcessEnv = {}): ChildProcess =>
  fork(new URL(`${name}.ts`, import.meta.url), {
    env: { ...process.env, ...env },
    serialization: 'advanced',
  });
