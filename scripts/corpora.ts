/**
 * Uploads files from Debian packages through the whole pipeline and writes docs/corpora.md:
 * `npm run corpora [-- PACKAGE…] [--most N]`. It downloads missing packages and starts its own stack, all in `.local/corpora`. All
 * files take ten minutes or more. `--most` takes at most N files per extension and package, evenly spread. The page is written only
 * for all files of all packages.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { signToken } from '../apps/local/src/token.ts';
import { readSecrets } from '../apps/local/src/data-folder.ts';
import { Client } from './client.ts';
import { run, UsageError } from './command.ts';
import { filesOf, PACKAGES, SOURCE } from './corpora/packages.ts';
import { type Pass, reportOf } from './corpora/report.ts';
import { type Result, upload } from './corpora/uploads.ts';
import { mediaTypeOf } from './media-type.ts';

const ROOT = path.resolve(import.meta.dirname, '..');
const FOLDER = path.join(ROOT, '.local/corpora');
const DATA = path.join(FOLDER, 'stack');
const PAGE = path.join(ROOT, 'docs/corpora.md');
const PORT = Number(process.env.PORT || 3600);
const AT_A_TIME = 8;
const UNLIMITED = { RATE_LIMIT_PER_MINUTE: '0', QUOTA_BYTES: '8000 TiB' };

/** Starts the embedded stack with its own data folder and ports. */
async function startStack(): Promise<ChildProcess> {
  await mkdir(DATA, { recursive: true });
  // As root, PostgreSQL runs as another user, which must be able to enter the folder.
  await chmod(DATA, 0o711);
  const stack = spawn(process.execPath, [path.join(ROOT, 'dist/apps/local/src/main.js')], {
    cwd: ROOT,
    env: { ...process.env, ...UNLIMITED, DATA_DIR: DATA, PORT: String(PORT) },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let output = '';
  stack.stdout.setEncoding('utf8').on('data', (text: string) => (output += text));
  const ended = once(stack, 'exit').then(() => {
    throw new Error(`The stack exited:\n${output}`);
  });
  while (!/^ready http/m.test(output)) await Promise.race([once(stack.stdout, 'data'), ended]);
  ended.catch(() => undefined);
  return stack;
}

function spread(files: readonly string[], most: number): string[] {
  return [...Map.groupBy(files, (file) => path.extname(file)).values()].flatMap((group) =>
    group.length <= most
      ? group
      : Array.from({ length: most }, (_, index) => group[Math.floor((index * group.length) / most)]!),
  );
}

/** Uploads all files as one owner. Each pass needs a new owner, because an owner's duplicates are not uploaded again. */
async function pass(
  title: string,
  subject: string,
  names: readonly string[],
  most: number,
  typeOf: (file: string) => string,
): Promise<Pass> {
  const { jwtSecret } = await readSecrets(DATA);
  const results: Result[] = [];
  const seconds = new Map<string, number>();
  for (const name of names) {
    const files = spread(await filesOf(FOLDER, name), most);
    const began = Date.now();
    // A token per package, because a pass may take longer than a token lives.
    const client = new Client(`http://127.0.0.1:${PORT}/graphql`, await signToken(jwtSecret, { subject }));
    const own: Result[] = [];
    let next = 0;
    const one = async () => {
      for (let at = next++; at < files.length; at = next++) {
        own[at] = await upload(client, name, files[at]!, typeOf(files[at]!));
      }
    };
    await Promise.all(Array.from({ length: AT_A_TIME }, one));
    seconds.set(name, (Date.now() - began) / 1000);
    console.log(`${title}: ${name}, ${own.length} files, ${Math.round(seconds.get(name)!)} s`);
    results.push(...own);
  }
  return { title, results, seconds };
}

const INTRO =
  `Results for real-world files: all files of these Debian 12 packages and the samples of file(1), each uploaded ` +
  `by a client through API, storage, queue and worker, ${AT_A_TIME} at a time, ` +
  (process.env.CLAMD_ADDRESS ? 'scanned by ClamAV.' : 'without an antivirus.') +
  ' `npm run corpora` repeats the run and writes this page.';

/** The manually written section of the page. */
async function changesIn(page: string): Promise<string> {
  const text = await readFile(page, 'utf8').catch(() => '');
  return /\n## Changes\n[^]*$/.exec(text)?.[0] ?? '';
}

const HELP = `
Usage: npm run corpora [-- PACKAGE…] [--most N]

Uploads files of Debian packages through the whole pipeline, on its own stack in .local/corpora, and writes
docs/corpora.md. All files take ten minutes or more.

  PACKAGE               only the files of this package; then no page is written
  --most N              at most N files per extension and package; then no page is written
`;

await run(HELP, async () => {
  const { values, positionals: chosen } = parseArgs({
    allowPositionals: true,
    options: { most: { type: 'string' } },
  });
  const most = values.most === undefined ? Infinity : Number(values.most);
  if (!(most >= 1)) throw new UsageError('--most takes a number of 1 or more.');
  // New owners, because an owner's duplicates are not inspected again.
  const owner = Math.floor(Date.now() / 1000) * 2;
  const names = chosen.length > 0 ? chosen : [...PACKAGES, SOURCE];
  for (const name of names) await filesOf(FOLDER, name);
  const stack = await startStack();
  try {
    const passes = [
      await pass('Declared by their names', String(owner), names, most, mediaTypeOf),
      await pass(
        'Declared as application/octet-stream',
        String(owner + 1),
        names,
        most,
        () => 'application/octet-stream',
      ),
    ];
    await writeFile(
      path.join(FOLDER, 'results.json'),
      JSON.stringify(
        passes.map(({ results }) => results),
        null,
        1,
      ),
    );
    const failed = passes
      .flatMap(({ results }) => results)
      .filter(({ status }) => !['READY', 'REJECTED'].includes(status));
    for (const { file, status, message } of failed) console.error(`${file}: ${status}, ${message}`);
    if (failed.length > 0) process.exitCode = 1;
    if (chosen.length === 0 && most === Infinity) {
      await writeFile(PAGE, reportOf(INTRO, passes) + (await changesIn(PAGE)));
      const prettier = path.join(ROOT, 'node_modules/.bin/prettier');
      await once(spawn(prettier, ['--write', '--log-level', 'warn', PAGE], { cwd: ROOT }), 'exit');
    }
  } finally {
    const exit = once(stack, 'exit');
    if (stack.kill('SIGINT')) await exit;
  }
});
