/** Installs, builds and runs the embedded stack. */
import { spawn } from 'node:child_process';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { build } from './build.mjs';
import { install } from './install.mjs';
import { exitOf, NODE, ROOT, run } from './project.mjs';

const HELP = `
Usage: npm start [-- --verbose]

Installs, builds and runs the embedded stack: PostgreSQL, the storage and Pub/Sub emulators, api and worker. Ctrl-C stops it
in order; the data stays.

  --verbose             shows everything that the processes log

  PORT                  the API's port, 3000 by default; the four after it are used as well
  DATA_DIR              where the data is kept, .local by default
`;
const PARENT_CHECK_MS = 500;

/** Lets the other commands find this stack (scripts/stack.ts), until the function that is returned was called. */
function record(pid) {
  const folder = path.join(ROOT, '.local/stacks');
  const file = path.join(folder, `${pid}.json`);
  const { PORT, DATA_DIR } = process.env;
  const place = { port: Number(PORT || 3000), dataFolder: path.resolve(DATA_DIR || '.local') };
  mkdirSync(folder, { recursive: true });
  writeFileSync(file, JSON.stringify({ pid, ...place }));
  return () => rmSync(file, { force: true });
}

await run(HELP, async () => {
  await install();
  await build();
  // The channel tells the stack when this process is gone.
  const stack = spawn(NODE, [path.join(ROOT, 'dist/apps/local/src/main.js'), ...process.argv.slice(2)], {
    stdio: ['inherit', 'inherit', 'inherit', 'ipc'],
  });
  const forget = record(stack.pid);
  // Not to end before the stack has. A signal that the terminal sent to the whole group arrives there twice, and
  // counts as one.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => stack.kill(signal));
  // npm hands SIGTERM to a shell in between, which ends without telling us.
  const parent = process.ppid;
  const watch = setInterval(() => {
    if (process.env.npm_lifecycle_event !== undefined && process.ppid !== parent) stack.kill('SIGTERM');
  }, PARENT_CHECK_MS);
  const code = await exitOf(stack);
  clearInterval(watch);
  forget();
  return code;
});
