/** Installs, builds and runs the embedded stack. */
import { spawn } from 'node:child_process';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { build } from './build.mjs';
import { install } from './install.mjs';
import { exitOf, NODE, ROOT, run } from './project.mjs';

const HELP = `
Usage: npm start [-- --verbose]

Installs, builds and runs the embedded stack: PostgreSQL, the storage and Pub/Sub emulators, api and worker. Ctrl-C stops all
processes in order; the data stays.

  --verbose             prints all logs of the processes

  PORT                  port of the API, 3000 by default; the next four ports are used too
  DATA_DIR              data folder, .local by default
`;
const PARENT_CHECK_MS = 500;

/** Records this stack for the other commands (scripts/stack.ts). Returns a function that removes the record. */
function record(pid) {
  const folder = path.join(ROOT, '.local/stacks');
  const file = path.join(folder, `${pid}.json`);
  const { PORT, DATA_DIR } = process.env;
  const location = { port: Number(PORT || 3000), dataFolder: path.resolve(DATA_DIR || '.local') };
  mkdirSync(folder, { recursive: true });
  writeFileSync(file, JSON.stringify({ pid, ...location }));
  return () => rmSync(file, { force: true });
}

await run(HELP, async () => {
  await install();
  await build();
  // The stack stops when this IPC channel closes, so it does not outlive this process.
  const stack = spawn(NODE, [path.join(ROOT, 'dist/apps/local/src/main.js'), ...process.argv.slice(2)], {
    stdio: ['inherit', 'inherit', 'inherit', 'ipc'],
  });
  const removeRecord = record(stack.pid);
  // This process waits for the stack. A signal from the terminal goes to the whole process group, so the stack may receive
  // it twice; it counts as one.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => stack.kill(signal));
  // npm sends SIGTERM to a shell in between, which exits without forwarding the signal.
  const parent = process.ppid;
  const watch = setInterval(() => {
    if (process.env.npm_lifecycle_event !== undefined && process.ppid !== parent) stack.kill('SIGTERM');
  }, PARENT_CHECK_MS);
  const code = await exitOf(stack);
  clearInterval(watch);
  removeRecord();
  return code;
});
