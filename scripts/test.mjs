/** Installs, builds, and runs the checks: `npm test`, and with the suites that take minutes `npm run test:full`. */
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { LONG_SUITES } from '../test/support/tiers.mjs';
import { build } from './build.mjs';
import { install } from './install.mjs';
import { packageCommand, ROOT, run } from './project.mjs';

const HELP = `
Usage: npm test [-- PATTERN… [JEST OPTION…]]
       npm run test:full [-- --rest]

Installs, builds, and runs the checks: the linter, the formatter, the compiler, and all tests except the suites that take
minutes (test/support/tiers.mjs), which npm run test:full adds. With patterns it runs only the tests whose paths match and
passes every argument to Jest.

  --rest    runs only the suites that npm test skips
`;
const arguments_ = process.argv.slice(2);
const jestOptions = '--experimental-vm-modules --disable-warning=ExperimentalWarning';
const FOLDER = path.join(ROOT, '.local/tests');
const DURATIONS = path.join(FOLDER, 'durations.json');
const SLOWEST = 10;
const FLAKY = path.join(FOLDER, 'flaky.json');
/** Suites that are never repeated, by path or content: their failure may be a race that the next run misses. */
const NEVER_REPEATED = /^test\/fault\/|\.property\.spec\.ts$|\w+Contract\(/;

/** Title, command and arguments of each check. */
const checks = [
  ['eslint', 'eslint', ['.', '--max-warnings', '0']],
  ['prettier', 'prettier', ['--check', '--log-level', 'warn', '.']],
  ['types', 'tsc', ['--noEmit', '-p', 'tsconfig.json']],
];
const long = `/test/(${LONG_SUITES.join('|')})`;

const QUICK = ['tests', ['--testPathIgnorePatterns', long]];
const REST = ['tests that take minutes', ['--testPathPatterns', long]];

const jest = (args) =>
  packageCommand('jest', ['--config', 'jest.config.mjs', ...args], {
    NODE_OPTIONS: [process.env.NODE_OPTIONS, jestOptions].filter(Boolean).join(' '),
  });

/** Runs Jest. A run that ends before the results are written has failed, and its output shows the reason. */
async function jestResults(args) {
  const file = path.join(FOLDER, 'results.json');
  mkdirSync(FOLDER, { recursive: true });
  rmSync(file, { force: true });
  const code = await jest([...args, '--json', '--outputFile', file]);
  const results = readJson(file, null);
  return results === null ? { code: code || 1, suites: [] } : { code, suites: results.testResults };
}

const readJson = (file, otherwise) => (existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : otherwise);
const writeJson = (file, value) => writeFileSync(file, `${JSON.stringify(value, null, 1)}\n`);

/** Adds the durations of these suites in milliseconds to the file, longest first. */
function recordDurations(suites) {
  const durations = readJson(DURATIONS, {});
  for (const { name, startTime, endTime } of suites)
    durations[path.relative(ROOT, name)] = endTime - startTime;
  writeJson(DURATIONS, Object.fromEntries(Object.entries(durations).toSorted(([, a], [, b]) => b - a)));
}

function printSlowest() {
  console.log(`── slowest suites (all are in ${path.relative(ROOT, DURATIONS)})`);
  for (const [suite, ms] of Object.entries(readJson(DURATIONS, {})).slice(0, SLOWEST)) {
    console.log(`${(ms / 1000).toFixed(1).padStart(7)} s  ${suite}`);
  }
}

/** Whether a failed suite passes when it runs alone. If so, prints its failed tests and records the suite as flaky. */
async function isFlaky({ name, assertionResults }) {
  const suite = path.relative(ROOT, name);
  if (NEVER_REPEATED.test(suite) || NEVER_REPEATED.test(readFileSync(name, 'utf8'))) return false;
  const { code } = await jestResults(['--runTestsByPath', name]);
  if (code !== 0) return false;
  const failed = assertionResults.filter(({ status }) => status === 'failed').map(({ fullName }) => fullName);
  const tests = failed.length > 0 ? failed : ['(suite)'];
  for (const test of tests) console.log(`FLAKY ${suite} › ${test}`);
  writeJson(FLAKY, [...readJson(FLAKY, []), suite]);
  return true;
}

/** With CI=true, one failed suite per run may be repeated alone; a second failed suite fails the run. */
async function runTests([title, args]) {
  console.log(`── ${title}`);
  const { code, suites } = await jestResults(args);
  recordDurations(suites);
  const failed = suites.filter(({ status }) => status === 'failed');
  const mayRepeat = process.env.CI && failed.length === 1 && readJson(FLAKY, []).length === 0;
  return code !== 0 && mayRepeat && (await isFlaky(failed[0])) ? 0 : code;
}

await run(HELP, async () => {
  await install();
  console.log('── build');
  await build();
  const isFull = arguments_[0] === '--full';
  const [first] = isFull ? arguments_.slice(1) : arguments_;
  if (isFull && first === '--rest') return runTests(REST).finally(printSlowest);
  if (first !== undefined) return jest(arguments_);
  rmSync(FOLDER, { recursive: true, force: true });
  let code = 0;
  for (const [name, command, args] of checks) {
    console.log(`── ${name}`);
    code = (await packageCommand(command, args)) || code;
    // In CI the tests run all the same, so that one run shows every failure.
    if (code !== 0 && !process.env.CI) return code;
  }
  code = (await runTests(QUICK)) || code;
  if (isFull) code = (await runTests(REST)) || code;
  printSlowest();
  return code;
});
