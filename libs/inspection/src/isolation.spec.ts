import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { closedFolderAbove } from './file-view.js';
import { findLaunch, findProgram, PROTECTIONS, RootRefused } from './isolation.js';

const needed = ['unshare', 'setpriv', 'prlimit'];
const isSkipped = process.env.CI !== 'true' && needed.some((name) => findProgram(name) === null);
if (isSkipped) process.stdout.write('skipped: isolation of processes (apt-get install util-linux)\n');

/** Real: the util-linux tools that a test provides, and Node.js. */
(isSkipped ? describe.skip : describe)('findLaunch', () => {
  let folder: string;
  const spoolFolder = mkdtempSync(path.join(tmpdir(), 'spool-'));
  beforeAll(() => chmodSync(spoolFolder, 0o711));
  afterAll(() => rmSync(spoolFolder, { recursive: true }));
  beforeEach(() => {
    folder = mkdtempSync(path.join(tmpdir(), 'programs-'));
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  const options = {
    cpuSeconds: 10,
    memoryBytes: 2 ** 30,
    spoolFolder,
    startsPrograms: false,
    readers: [],
    modules: [],
  };
  const provide = (name: string) => symlinkSync(findProgram(name)!, path.join(folder, name));
  const refuse = (name: string) =>
    writeFileSync(path.join(folder, name), '#!/bin/sh\nexit 1\n', { mode: 0o755 });
  const isolation = async () => (await findLaunch(options, [folder])).isolation;
  const isRoot = process.getuid?.() === 0;
  const privileges = ['no-capabilities', 'no-new-privileges', 'dies-with-parent'];
  const user = isRoot ? ['other-user'] : [];

  it('finds all protections', async () => {
    const launch = await findLaunch(options);
    expect(launch.isolation).toEqual(PROTECTIONS.filter((name) => isRoot || name !== 'other-user'));
    expect(launch.command(0)).not.toContain('{user}');
  });

  it('skips tools that are not installed, but refuses root', async () => {
    provide('prlimit');
    if (isRoot) await expect(isolation()).rejects.toThrow(RootRefused);
    else expect(await isolation()).toEqual(['limits', 'file-permissions']);
  });

  it('skips protections that the system refuses', async () => {
    refuse('unshare');
    provide('prlimit');
    provide('setpriv');
    // Without a mount namespace, other users cannot read a checkout in a folder that only root may enter.
    if (isRoot && closedFolderAbove(import.meta.filename) !== null) {
      return expect(isolation()).rejects.toThrow(RootRefused);
    }
    const found = await isolation();
    // Only some systems let an ordinary user drop capabilities outside a namespace.
    const isCertain = (name: string) => isRoot || name !== 'no-capabilities';
    expect(found.filter(isCertain)).toEqual([
      ...user,
      ...privileges.filter(isCertain),
      ...['limits', 'file-permissions'],
    ]);
  });

  it('gives another user access to a spool folder inside a closed folder', async () => {
    // mkdtemp creates the parent folder with mode 0700.
    const spoolFolder = path.join(folder, 'spool');
    const launch = await findLaunch({ ...options, spoolFolder });
    expect(launch.isolation).toEqual(PROTECTIONS.filter((name) => isRoot || name !== 'other-user'));
    if (isRoot) expect(launch.command(0)).toContain(folder);
  });

  it('refuses to read files as root when no other user can', async () => {
    if (!isRoot) return;
    const spoolFolder = path.join(folder, 'closed');
    mkdirSync(spoolFolder, { mode: 0o700 });
    await expect(findLaunch({ ...options, spoolFolder })).rejects.toThrow(/never read as root.*closed/);
  });
});
