/** Prints a token that the embedded stack accepts. */
import { parseArgs } from 'node:util';
import { signToken } from '../apps/local/src/token.ts';
import { reason, run, UsageError } from './command.ts';
import { localStack } from './stack.ts';

const HELP = `
Usage: npm run token -- --user 42 [--groups editors,staff] [--admin] [--expires-in 30d]

Prints a token that the embedded stack accepts.

  --user SUBJECT        1 to 255 characters; a decimal number is used as the owner's id
  --groups NAMES        groups of the user, separated by commas
  --admin               makes the user an operator
  --expires-in TIME     for example 15m, 2h or 30d; 30d by default

The command uses the stack that runs from this folder; if several run, set PORT or DATA_DIR.
`;
const GROUP = /^[^\p{Cc}\p{Cs}]{1,200}$/u;

await run(HELP, async () => {
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
      `A group has 1 to 200 characters and no control characters; this one is invalid: ${JSON.stringify(bad)}`,
    );
  }
  const { jwtSecret } = (await localStack()).secrets;
  try {
    console.log(await signToken(jwtSecret, { subject, groups, admin, expiresIn }));
  } catch (error) {
    throw new UsageError(`--expires-in ${expiresIn}: ${reason(error)}`);
  }
});
