import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { cp, mkdtemp, readdir, readFile, realpath, rm, symlink, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Run, Site } from '../local/stack.js';

const ROOT = path.resolve(import.meta.dirname, '../../..');
const FIXTURE = path.join(ROOT, 'test/fixtures/favourites');
const FEATURES = 'stowage.features.ts';
const FOLDER = 'libs/favourites';
/** The line of docs/extending.md that turns a feature on, and the list. */
const LISTED = `import { favourites } from '#libs/favourites';\n\nexport default [favourites];\n`;
/** Folders that the copy lacks or that commands write. */
const GENERATED = /^(\.git|\.local|coverage|dist|node_modules|libs\/database\/src\/generated)(\/|$)/;

/** Real: the build, the linter, the compiler, the feature's own suite with all of its servers, and the embedded stack. */
describe('a feature that is written by docs/extending.md', () => {
  let root: string;
  let before: Map<string, string>;
  beforeAll(async () => {
    root = await realpath(await mkdtemp(path.join(os.tmpdir(), 'stowage-extending-')));
    const isSource = (file: string) => !GENERATED.test(path.relative(ROOT, file));
    await cp(ROOT, root, { recursive: true, filter: isSource });
    await symlink(path.join(ROOT, 'node_modules'), path.join(root, 'node_modules'));
    await writeFile(path.join(root, FEATURES), 'export default [];\n');
    before = await digests();
    await cp(FIXTURE, path.join(root, FOLDER), { recursive: true });
    await writeFile(path.join(root, FEATURES), LISTED);
  });
  afterAll(() => rm(root, { recursive: true }));

  const environment = (options = '') => ({
    ...process.env,
    NODE_OPTIONS: options,
    CHECKPOINT_DISABLE: '1',
    UPDATE_SCHEMA: '',
  });
  async function node(args: readonly string[], options = '') {
    const child = spawn(process.execPath, args, {
      cwd: root,
      env: environment(options),
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const exit = new Promise((resolve) => child.once('close', resolve));
    const [output, errors, code] = await Promise.all([text(child.stdout), text(child.stderr), exit]);
    return { code, output: output + errors };
  }
  const jest = (...patterns: string[]) =>
    node(
      ['node_modules/jest/bin/jest.js', '--config', 'jest.config.mjs', ...patterns],
      '--experimental-vm-modules --disable-warning=ExperimentalWarning',
    );
  const passed = (output: string) => [...output.matchAll(/^PASS (\S+)/gm)].map(([, file]) => file).sort();

  /** Digests of the files that are not generated, by path. */
  async function digests(): Promise<Map<string, string>> {
    const found = new Map<string, string>();
    for (const entry of await readdir(root, { withFileTypes: true, recursive: true })) {
      const file = path.join(entry.parentPath, entry.name);
      const name = path.relative(root, file);
      if (!entry.isFile() || GENERATED.test(name)) continue;
      const digest = createHash('sha256').update(await readFile(file));
      found.set(name, digest.digest('hex'));
    }
    return found;
  }

  it('builds', async () => {
    const { code, output } = await node(['scripts/build.mjs']);
    expect([code, output]).toEqual([0, expect.stringContaining('Generating the database client')]);
  });

  it.each([
    ['compiler', ['typescript/bin/tsc', '--noEmit']],
    ['linter', ['eslint/bin/eslint.js', FOLDER, FEATURES, '--max-warnings', '0']],
    ['formatter', ['prettier/bin/prettier.cjs', '--check', '--log-level', 'warn', FOLDER, FEATURES]],
  ])('satisfies the %s', async (_tool, [script, ...args]) => {
    expect(await node([`node_modules/${script}`, ...args])).toEqual({ code: 0, output: '' });
  });

  it('passes its own suite, and the suites that check the folders of features', async () => {
    const { code, output } = await jest(FOLDER, 'test/shape/(migrations|feature-ranks)');
    expect([code, passed(output)]).toEqual([
      0,
      [
        'libs/favourites/src/favourites.spec.ts',
        'test/shape/feature-ranks.spec.ts',
        'test/shape/migrations.spec.ts',
      ],
    ]);
  });

  it('is served by the embedded stack', async () => {
    const site = await Site.make();
    const env = { ...environment(), DATA_DIR: site.data, PORT: String(site.port) };
    const run = new Run(
      spawn(process.execPath, ['scripts/start.mjs'], { cwd: root, env, stdio: ['ignore', 'pipe', 'pipe'] }),
    );
    site.runs.push(run);
    try {
      await run.ready();
      const token = /^User token +(\S+)$/m.exec(run.stdout)![1]!;
      const answer = await fetch(`http://127.0.0.1:${site.port}/graphql`, {
        method: 'POST',
        headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
        body: JSON.stringify({ query: '{ favourites { nodes { createdAt } } }' }),
      });
      expect(await answer.json()).toEqual({ data: { favourites: { nodes: [] } } });
      expect(await run.stop()).toBe(0);
    } finally {
      await site.remove();
    }
  });

  it('changes one folder and one file', async () => {
    const after = await digests();
    const changed = [...new Set([...before.keys(), ...after.keys()])].filter(
      (file) => before.get(file) !== after.get(file),
    );
    const outside = changed.filter((file) => !file.startsWith(`${FOLDER}/`));
    expect(outside).toEqual([FEATURES]);
  });
});
