/** Measures the service, each figure against a ceiling of the same run. */
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { run, UsageError } from '../scripts/command.ts';

const HELP = `
Usage: npm run bench [-- NAME…] [--json FILE] [--write]

Measures the service, each figure as a ratio to a ceiling that is measured in the same run.

  NAME                  only the measurements whose names contain it
  --json FILE           writes all figures to a file
  --write               puts the table of a whole run into docs/benchmarks.md
`;
const BUILD = path.join(import.meta.dirname, '../scripts/build.mjs');

await run(HELP, async () => {
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
