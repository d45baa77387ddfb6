/** Installs, builds, and runs the checks. */
import { build } from './build.mjs';
import { install } from './install.mjs';
import { packageCommand, run } from './project.mjs';

const HELP = `
Usage: npm test [-- PATTERN… [JEST OPTION…]]

Installs, builds, and runs every check: the linter, the formatter, the compiler and all tests. With arguments it runs only
the tests whose paths match, and hands everything to Jest as it is.
`;
const arguments_ = process.argv.slice(2);
const jestOptions = '--experimental-vm-modules --disable-warning=ExperimentalWarning';

/** Name, command, arguments, environment. */
const checks = [
  ['eslint', 'eslint', ['.', '--max-warnings', '0']],
  ['prettier', 'prettier', ['--check', '--log-level', 'warn', '.']],
  ['types', 'tsc', ['--noEmit', '-p', 'tsconfig.json']],
];
const tests = [
  'tests',
  'jest',
  ['--config', 'jest.config.mjs', ...arguments_],
  { NODE_OPTIONS: [process.env.NODE_OPTIONS, jestOptions].filter(Boolean).join(' ') },
];

await run(HELP, async () => {
  await install();
  console.log('── build');
  await build();
  for (const [name, command, args, env] of arguments_.length > 0 ? [tests] : [...checks, tests]) {
    console.log(`── ${name}`);
    const code = await packageCommand(command, args, env);
    if (code !== 0) return code;
  }
});
