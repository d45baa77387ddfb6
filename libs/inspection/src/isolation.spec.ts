import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { closedFolderAbove } from './file-view.js';
import { findLaunch, findProgram, PROTECTIONS, RootRefused } from './isolation.js';

const needed = ['unshare', 'setpriv', 'prlimit'];
const isSkipped = process.env.CI !== 'true' && needed.some((name) => findProgram(name) === null);
if (isSkipped) process.stdout.write('skipped: isolation of processes (apt-get install util-linux)\n');

/** Real: the tools, where they are let in, and Node.js. */
(isSkipped ? describe.skip : describe)('the way in which a child is started', () => {
  let folder: string;
  const spoolFolder = mkdtempSync(path.join(tmpdir(), 'spool-'));
  beforeAll(() => chmodSync(spoolFolder, 0o711));
  afterAll(() => rmSync(spoolFolder, { recursive: true }));
  beforeEach(() => {
    folder = mkdtempSync(path.join(tmpdir(), 'programs-'));
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  const options = { cpuSeconds: 10, memoryBytes: 2 ** 30, spoolFolder, startsPrograms: false, readers: [] };
  const letIn = (name: string) => symlinkSync(findProgram(name)!, path.join(folder, name));
  const refuse = (name: string) =>
    writeFileSync(path.join(folder, name), '#!/bin/sh\nexit 1\n', { mode: 0o755 });
  const isolation = async () => (await findLaunch(options, [folder])).isolation;
  const isRoot = process.getuid?.() === 0;
  const privileges = ['no-capabilities', 'no-new-privileges', 'dies-with-parent'];
  const user = isRoot ? ['other-user'] : [];

  it('has all there is', async () => {
    const launch = await findLaunch(options);
    expect(launch.isolation).toEqual(PROTECTIONS.filter((name) => isRoot || name !== 'other-user'));
    expect(launch.command(0)).not.toContain('{user}');
  });

  it('does without what is not installed, but never as root', async () => {
    letIn('prlimit');
    if (isRoot) await expect(isolation()).rejects.toThrow(RootRefused);
    else expect(await isolation()).toEqual(['limits', 'file-permissions']);
  });

  it('does without what is refused', async () => {
    refuse('unshare');
    letIn('prlimit');
    letIn('setpriv');
    // Without a mount namespace no other user can read a checkout in a folder that only root may enter.
    if (isRoot && closedFolderAbove(import.meta.filename) !== null) {
      return expect(isolation()).rejects.toThrow(RootRefused);
    }
    const found = await isolation();
    // Only some systems let an ordinary user give up capabilities outside a namespace.
    const isCertain = (name: string) => isRoot || name !== 'no-capabilities';
    expect(found.filter(isCertain)).toEqual([
      ...user,
      ...privileges.filter(isCertain),
      ...['limits', 'file-permissions'],
    ]);
  });

  it('shows another user what lies in a folder that is closed to others', async () => {
    // The folder around it is its owner's alone.
    const spoolFolder = path.join(folder, 'spool');
    const launch = await findLaunch({ ...options, spoolFolder });
    expect(launch.isolation).toEqual(PROTECTIONS.filter((name) => isRoot || name !== 'other-user'));
    if (isRoot) expect(launch.command(0)).toContain(folder);
  });

  it('refuses to read files as root', async () => {
    if (!isRoot) return;
    const spoolFolder = path.join(folder, 'closed');
    mkdirSync(spoolFolder, { mode: 0o700 });
    await expect(findLaunch({ ...options, spoolFolder })).rejects.toThrow(/never read as root.*closed/);
  });
});
