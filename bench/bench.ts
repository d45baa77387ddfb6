/** Measures the service. Each figure is compared with a ceiling of the same run. */
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { run, UsageError } from '../scripts/command.ts';

const HELP = `
Usage: npm run bench [-- NAME…] [--json FILE] [--write]

Measures the service, each figure as a ratio to a ceiling that is measured in the same run.

  NAME                  runs only the measurements whose names contain NAME
  --json FILE           writes the raw figures of each round to a file
  --write               writes the table of a whole run to docs/benchmarks.md
`;
const BUILD = path.join(import.meta.dirname, '../scripts/build.mjs');

await run(HELP, async () => {
  const { values, positionals: names } = parseArgs({
    allowPositionals: true,
    options: { json: { type: 'string' }, write: { type: 'boolean', default: false } },
  });
  if (values.write && names.length > 0) throw new UsageError('--write needs a whole run; omit NAME');
  const { status } = spawnSync(process.execPath, [BUILD], { stdio: 'inherit' });
  if (status !== 0) throw new Error('The build failed; there is nothing to measure.');
  // Imported here, because it needs the packages and the build.
  const { measure } = await import('./runner.ts');
  // npm changes to the project folder; the file name is relative to the folder of the user.
  const json = values.json && path.resolve(process.env.INIT_CWD ?? '.', values.json);
  await measure({ names, json, write: values.write });
});
