import { spawnSync } from 'node:child_process';
import { chmodSync, cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, expect, it } from '@jest/globals';

const ROOT = path.resolve(import.meta.dirname, '../../..');
const root = mkdtempSync(path.join(os.tmpdir(), 'stowage-tests-'));
afterAll(() => rmSync(root, { recursive: true }));

/** Real: the test command, in a temporary project. Fake: Jest, which ends before it writes its results. */
it.each([
  ['fails', 3, 3],
  ['succeeds', 0, 1],
])('fails with the output of a Jest that %s without results', (_, jestCode, expected) => {
  const write = (file: string, content: string) => {
    mkdirSync(path.dirname(path.join(root, file)), { recursive: true });
    writeFileSync(path.join(root, file), content);
  };
  for (const file of ['scripts/test.mjs', 'scripts/project.mjs', 'test/support/tiers.mjs'])
    cpSync(path.join(ROOT, file), path.join(root, file));
  write('scripts/install.mjs', 'export const install = () => undefined;');
  write('scripts/build.mjs', 'export const build = () => undefined;');
  write('node_modules/.bin/jest', `#!/bin/sh\necho 'no set-up' >&2\nexit ${jestCode}\n`);
  chmodSync(path.join(root, 'node_modules/.bin/jest'), 0o755);
  const { status, stderr } = spawnSync(process.execPath, ['scripts/test.mjs', '--full', '--rest'], {
    cwd: root,
    env: { ...process.env, NODE_OPTIONS: '', CI: '' },
    encoding: 'utf8',
  });
  expect([status, stderr]).toEqual([expected, 'no set-up\n']);
});
