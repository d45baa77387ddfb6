/** Mutation test of the invariants: removes one guard at a time in a copy of the tree and checks that a test fails. */
import { execFileSync, spawnSync } from 'node:child_process';
import {
  cpSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { run } from './command.ts';
import { type Guard, GUARDS, INVARIANTS } from './invariant-guards.ts';

const HELP = `
Usage: npm run invariants [-- NUMBER | --new]

Removes the guards of the invariants, one at a time, in a copy of the tree, checks that a test fails without each, and
writes docs/invariants.md.

  NUMBER  checks only this guard and writes no page
  --new   checks only guards that docs/invariants.md lacks, or shows with another line or test
`;
const ROOT = path.resolve(import.meta.dirname, '..');
const JEST = path.join(ROOT, 'node_modules/jest/bin/jest.js');
let copy: string;
const PAGE = path.join(ROOT, 'docs/invariants.md');
const argument = process.argv[2];
const isNewOnly = argument === '--new';
const only = argument === undefined || isNewOnly ? null : Number(argument);

/** The line and test of a guard, as the page shows them. */
const proofOf = ({ guard, test, name }: Guard) =>
  `\`${guard.trim().split('\n')[0] ?? ''}\`  \nTest: \`${test}\`, “${name}”`;

const sectionOf = (number: string, guard: Guard, place: string, failure: string) =>
  `### ${number} ${guard.what}\n\nGuard: \`${place}\`, ${proofOf(guard)}\n\nWithout it:\n\n\`\`\`\n${failure}\n\`\`\``;

/** The failure that the page quotes for a guard; null if it has none, or shows another line or test. */
function quotedFailure(page: string, guard: Guard): string | null {
  const section = page
    .split('\n### ')
    .find((section) => section.slice(section.indexOf(' ') + 1).startsWith(`${guard.what}\n`));
  if (section === undefined || !section.includes(`, ${proofOf(guard)}\n`)) return null;
  return /```\n([^]*?)\n```/.exec(section)?.[1] ?? null;
}

function makeCopy(): void {
  const { status } = spawnSync(process.execPath, [path.join(ROOT, 'scripts/build.mjs')], {
    stdio: 'inherit',
  });
  if (status !== 0) throw new Error('The build failed.');
  const files = execFileSync('git', ['ls-files', '--cached', '--others', '--exclude-standard'], {
    cwd: ROOT,
    encoding: 'utf8',
  });
  for (const file of files.split('\n').filter(Boolean)) {
    try {
      cpSync(path.join(ROOT, file), path.join(copy, file));
    } catch {
      // The file was deleted and the deletion is not committed yet.
    }
  }
  cpSync(path.join(ROOT, 'libs/database/src/generated'), path.join(copy, 'libs/database/src/generated'), {
    recursive: true,
  });
  // Tests start child processes from dist/.
  cpSync(path.join(ROOT, 'dist'), path.join(copy, 'dist'), { recursive: true });
  symlinkSync(path.join(ROOT, 'node_modules'), path.join(copy, 'node_modules'));
}

/** Keeps the file's modification time: jest.config.mjs refuses sources that are newer than dist/. */
function replaceText(file: string, text: string): void {
  const { atime, mtime } = statSync(file);
  writeFileSync(file, text);
  utimesSync(file, atime, mtime);
}

/** Checks that every test passes with all guards in place; otherwise its failure would prove nothing. */
function checkTests(guards: readonly Guard[]): void {
  for (const [test, of] of Map.groupBy(guards, ({ test }) => test)) {
    const failure = failureOf(test, of.map(({ name }) => name).join('|'));
    if (failure !== null) throw new Error(`${test} fails with all guards in place: ${failure}`);
    console.log(`passes   ${test}`);
  }
}

/** The first failure message of a test run; null if it passed. */
function failureOf(test: string, name: string): string | null {
  const run = spawnSync(
    process.execPath,
    [JEST, '--config', 'jest.config.mjs', '--runInBand', test, '-t', name],
    {
      cwd: copy,
      encoding: 'utf8',
      env: {
        ...process.env,
        NODE_OPTIONS: '--experimental-vm-modules --disable-warning=ExperimentalWarning',
        NO_COLOR: '1',
        FORCE_COLOR: '0',
      },
      timeout: 600_000,
    },
  );
  if (run.status === 0) return null;
  const lines = run.stderr.split('\n');
  const start = lines.findIndex((line) => line.trimStart().startsWith('●'));
  if (start < 0) return run.stderr.slice(0, 400);
  const shown = lines.slice(start + 1).filter((line) => line.trim() !== '');
  const end = shown.findIndex((line) => /^\s+(at |>?\s*\d+ \|)/.test(line));
  return shown
    .slice(0, Math.min(end < 0 ? 6 : end, 8))
    .map((line) =>
      line
        .trim()
        .replace(/\?X-Goog-[^"\s]*/g, '?…')
        .slice(0, 160),
    )
    .join('\n');
}

/** Removes a guard, runs its test and puts the guard back. @returns the test's failure; null if it passed */
function failureWithout({ file, guard, without, test, name }: Guard): string | null {
  const copied = path.join(copy, file);
  const source = readFileSync(copied, 'utf8');
  replaceText(
    copied,
    source.replace(guard, () => without),
  );
  const failure = failureOf(test, name);
  replaceText(copied, source);
  return failure;
}

/** File and line of a guard. */
function placeOf({ file, guard }: Guard): string {
  const source = readFileSync(path.join(copy, file), 'utf8');
  if (source.split(guard).length !== 2)
    throw new Error(`${file} must contain this line exactly once: ${guard}`);
  return `${file}:${source.slice(0, source.indexOf(guard)).split('\n').length}`;
}

function writePage(rows: readonly string[], sections: readonly string[]): void {
  const list = INVARIANTS.map((text, index) => `${index + 1}. ${text}`).join('\n');
  writeFileSync(
    PAGE,
    `# Invariants\n\n${list}\n\nEach guard below was removed in a copy of the tree, its test was run, and the test's failure is quoted. ` +
      `\`npm run invariants\` repeats this and writes this page.\n\n` +
      `|   | property | guard | test |\n| - | --- | --- | --- |\n${rows.join('\n')}\n\n${sections.join('\n\n')}\n`,
  );
  const prettier = path.join(ROOT, 'node_modules/.bin/prettier');
  spawnSync(prettier, ['--write', '--log-level', 'warn', PAGE], { cwd: ROOT });
}

await run(HELP, () => {
  copy = mkdtempSync(path.join(os.tmpdir(), 'stowage-guards-'));
  try {
    makeCopy();
    const rows: string[] = [];
    const sections: string[] = [];
    const guards = GUARDS.toSorted((a, b) => a.invariant - b.invariant);
    const page = isNewOnly ? readFileSync(PAGE, 'utf8') : '';
    const quoted = new Map(guards.map((guard) => [guard, quotedFailure(page, guard)]));
    checkTests(
      guards.filter((guard, index) => quoted.get(guard) === null && (only === null || only === index + 1)),
    );
    let missed = 0;
    for (const [index, guard] of guards.entries()) {
      if (only !== null && only !== index + 1) continue;
      const place = placeOf(guard);
      const known = quoted.get(guard) ?? null;
      const failure = known ?? failureWithout(guard);
      if (failure === null) missed += 1;
      if (known === null)
        console.log(`${failure === null ? 'NO TEST FAILED' : 'test failed'}  ${index + 1}. ${guard.what}`);
      const number = `${guard.invariant}.${guards.filter((other, at) => other.invariant === guard.invariant && at <= index).length}`;
      rows.push(`| ${number} | ${guard.what} | \`${place}\` | \`${path.basename(guard.test)}\` |`);
      sections.push(sectionOf(number, guard, place, failure ?? 'NO TEST FAILED'));
    }
    if (only === null) writePage(rows, sections);
    process.exitCode = missed === 0 ? 0 : 1;
  } finally {
    rmSync(copy, { recursive: true, force: true });
  }
});
