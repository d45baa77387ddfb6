/**
 * Measures the service, each figure against a ceiling of the same run:
 * `npm run bench [-- NAME…] [--json FILE] [--write]`. With names only what matches; `--write` puts the table into
 * docs/benchmarks.md.
 */
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { run, UsageError } from '../scripts/command.ts';

const USAGE = 'npm run bench [-- NAME…] [--json FILE] [--write]';
const BUILD = path.join(import.meta.dirname, '../scripts/build.mjs');

await run(USAGE, async () => {
  const { values, positionals: names } = parseArgs({
    allowPositionals: true,
    options: { json: { type: 'string' }, write: { type: 'boolean', default: false } },
  });
  if (values.write && names.length > 0) throw new UsageError('--write takes a whole run');
  const { status } = spawnSync(process.execPath, [BUILD], { stdio: 'inherit' });
  if (status !== 0) throw new Error('There is no build to measure.');
  // Only now: it needs the packages and the build.
  const { measure } = await import('./runner.ts');
  // npm changes into the project's folder; the name is meant from where the user is.
  const json = values.json && path.resolve(process.env.INIT_CWD ?? '.', values.json);
  await measure({ names, json, write: values.write });
});
