/** Entry point of the embedded stack: all parts of Stowage as one process tree on this machine. */
import path from 'node:path';
import { run } from './run.js';

const entry = (app: string, file: string) => path.resolve(import.meta.dirname, '../..', app, 'src', file);

await run(
  {
    migrate: entry('local', 'migrate.js'),
    emulators: entry('local', 'emulators.js'),
    api: entry('api', 'main.js'),
    worker: entry('worker', 'main.js'),
  },
  process.argv.slice(2),
);
