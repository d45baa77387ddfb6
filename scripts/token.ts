/** Prints a token that the embedded stack accepts: `npm run token -- --user 42 [--groups a,b] [--admin] [--expires-in 30d]`. */
import path from 'node:path';
import { parseArgs } from 'node:util';
import { readSecrets } from '../apps/local/src/data-folder.ts';
import { signToken } from '../apps/local/src/token.ts';
import { reason, run, UsageError } from './command.ts';

const USAGE = 'npm run token -- --user 42 [--groups editors,staff] [--admin] [--expires-in 30d]';
const GROUP = /^[A-Za-z0-9_.:-]{1,128}$/;

await run(USAGE, async () => {
  const { values } = parseArgs({
    options: {
      user: { type: 'string' },
      groups: { type: 'string', default: '' },
      admin: { type: 'boolean', default: false },
      'expires-in': { type: 'string', default: '30d' },
    },
  });
  const { user: subject, groups: list, admin, 'expires-in': expiresIn } = values;
  if (!subject || subject.length > 255) throw new UsageError('--user takes 1 to 255 characters');
  const groups = list.split(',').filter((name) => name !== '');
  const bad = groups.find((name) => !GROUP.test(name));
  if (bad !== undefined) {
    throw new UsageError(
      `A group has letters, digits, _ . - : and at most 128 characters, not ${JSON.stringify(bad)}`,
    );
  }
  const { jwtSecret } = await readSecrets(path.resolve(process.env.DATA_DIR || '.local'));
  try {
    console.log(await signToken(jwtSecret, { subject, groups, admin, expiresIn }));
  } catch (error) {
    throw new UsageError(`--expires-in ${expiresIn}: ${reason(error)}`);
  }
});
