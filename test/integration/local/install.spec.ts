import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { spawnSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  renameSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import os from 'node:os';
import path from 'node:path';

const SCRIPTS = path.resolve(import.meta.dirname, '../../../scripts');

/** Real: the installer, in a temporary project. Fake: npm, which only prints that it was called. */
describe('install', () => {
  let root: string;
  beforeEach(() => {
    root = mkdtempSync(path.join(os.tmpdir(), 'stowage-install-'));
    for (const file of ['install.mjs', 'project.mjs'])
      cpSync(path.join(SCRIPTS, file), path.join(root, 'scripts', file));
    writeFileSync(path.join(root, 'npm.js'), "console.error('npm', process.argv[2]); process.exit(1);\n");
    mkdirSync(path.join(root, 'node_modules/.bin'), { recursive: true });
    writeFileSync(path.join(root, 'node_modules/.bin/node'), '');
    lock('package-lock.json', { '': {}, 'node_modules/a': { version: '1.0.0' }, ...OTHER_PLATFORM });
    lock('node_modules/.package-lock.json', { 'node_modules/a': { version: '1.0.0' } });
  });
  afterEach(() => rmSync(root, { recursive: true }));

  const OTHER_PLATFORM = { 'node_modules/a-win32': { version: '1.0.0', optional: true } };
  const lock = (file: string, packages: object) =>
    writeFileSync(path.join(root, file), JSON.stringify({ packages }));

  function install(): string {
    const code =
      "await (await import('./scripts/install.mjs')).install().catch((e) => console.log(e.message))";
    const { stdout } = spawnSync(process.execPath, ['--input-type=module', '-e', code], {
      cwd: root,
      env: { ...process.env, NODE_OPTIONS: '', npm_execpath: path.join(root, 'npm.js') },
      encoding: 'utf8',
    });
    return stdout;
  }

  it('does nothing when every package is installed, however new the lock file is', () => {
    utimesSync(path.join(root, 'package-lock.json'), new Date(), new Date(Date.now() + 3_600_000));
    expect(install()).toBe('');
  });

  it.each([
    ['another version', { 'node_modules/a': { version: '2.0.0' } }],
    ['one more package', { 'node_modules/a': { version: '1.0.0' }, 'node_modules/b': { version: '1.0.0' } }],
    ['one package less', {}],
  ])('installs when the lock file has %s', (_, packages) => {
    lock('package-lock.json', { '': {}, ...packages });
    expect(install()).toContain('npm ci');
  });

  it('installs when an installation was interrupted', () => {
    rmSync(path.join(root, 'node_modules/.package-lock.json'));
    expect(install()).toContain('npm ci');
  });

  it('never lets npm empty a folder that node_modules only links to', () => {
    renameSync(path.join(root, 'node_modules'), path.join(root, 'shared'));
    symlinkSync(path.join(root, 'shared'), path.join(root, 'node_modules'));
    lock('package-lock.json', { '': {} });
    expect(install()).toMatch(/node_modules is a link/);
    expect(existsSync(path.join(root, 'shared/.bin/node'))).toBe(true);
  });
});
