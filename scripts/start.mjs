/** Installs, builds and runs the embedded stack: `npm start`. */
import { spawn } from 'node:child_process';
import path from 'node:path';
import { build } from './build.mjs';
import { install } from './install.mjs';
import { exitOf, NODE, ROOT, run } from './project.mjs';

const PARENT_CHECK_MS = 500;

await run(async () => {
  await install();
  await build();
  // The channel tells the stack when this process is gone.
  const stack = spawn(NODE, [path.join(ROOT, 'dist/apps/local/src/main.js'), ...process.argv.slice(2)], {
    stdio: ['inherit', 'inherit', 'inherit', 'ipc'],
  });
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
  return code;
});
