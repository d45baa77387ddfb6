import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, readdir, rm, stat, statfs, utimes, writeFile } from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { InspectionConfig } from '#libs/inspection';
import { configured } from '#libs/runtime';
import { ProcessingConfig } from './processing.config.js';
import { Spool } from './spool.js';

describe('Spool', () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'spool-'));
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  const spoolOf = (spoolBytes: number, kind = Spool) =>
    new kind(
      configured(ProcessingConfig, { spoolBytes }),
      configured(InspectionConfig, { spoolFolder: folder }),
    );
  const ignore = () => undefined;

  it('keeps a file until it is disposed, and returns chunks after they are written', async () => {
    const spool = spoolOf(10 ** 7);
    const bytes = randomBytes(3_000_000);
    const file = await spool.reserve(bytes.length);
    const written: number[] = [];
    for (let at = 0; at < bytes.length; at += 100_000) {
      await file.add(bytes.subarray(at, at + 100_000), ({ length }) => written.push(length));
    }
    expect(written.length).toBeGreaterThan(20);
    await file.finish();
    expect((await readFile(file.path)).equals(bytes)).toBe(true);
    expect((await stat(file.path)).mode & 0o777).toBe(0o644);
    expect((await stat(path.dirname(file.path))).mode & 0o777).toBe(0o711);
    await file[Symbol.asyncDispose]();
    expect(existsSync(file.path)).toBe(false);
  });

  it('releases the reservation even if the folder was deleted before the file', async () => {
    const spool = spoolOf(100);
    const file = await spool.reserve(100);
    await file.add(Buffer.from('bytes'), ignore);
    await file.finish();
    await spool.onApplicationShutdown();
    await file[Symbol.asyncDispose]();
    await using next = await spool.reserve(100);
    expect(next.bytes).toBe(100);
  });

  it('grants reservations in the order of the requests and never exceeds the capacity', async () => {
    const spool = spoolOf(100);
    const order: string[] = [];
    const first = await spool.reserve(60);
    const large = spool.reserve(80).then((file) => (order.push('large'), file));
    const small = spool.reserve(10).then((file) => (order.push('small'), file));
    await new Promise(setImmediate);
    // The small file would fit, but small files could starve the large one.
    expect(order).toEqual([]);
    await first[Symbol.asyncDispose]();
    const files = await Promise.all([large, small]);
    expect(order).toEqual(['large', 'small']);
    for (const file of files) await file[Symbol.asyncDispose]();
    const whole = await spool.reserve(100);
    await whole[Symbol.asyncDispose]();
    // A second disposal releases no more bytes.
    await whole[Symbol.asyncDispose]();
    await using one = await spool.reserve(60);
    expect(one.bytes).toBe(60);
    const aborted = new AbortController();
    const waiting = spool.reserve(60, aborted.signal);
    aborted.abort(new Error('no more'));
    await expect(waiting).rejects.toThrow('no more');
    await using next = await spool.reserve(40);
    expect(next.bytes).toBe(40);
  });

  it('admits later requests when the first waiting request is aborted', async () => {
    const spool = spoolOf(100);
    await using held = await spool.reserve(50);
    expect(held.bytes).toBe(50);
    const aborted = new AbortController();
    const large = spool.reserve(90, aborted.signal);
    const small = spool.reserve(50);
    aborted.abort(new Error('no more'));
    await expect(large).rejects.toThrow('no more');
    await using file = await small;
    expect(file.bytes).toBe(50);
  });

  it('rejects bytes beyond the reservation', async () => {
    await using file = await spoolOf(100).reserve(3);
    await expect(file.add(Buffer.from('four'), ignore)).rejects.toThrow('exceeds its reservation');
    expect(spoolOf(100).fits(100)).toBe(true);
    expect(spoolOf(100).fits(101)).toBe(false);
  });

  it('never fits a file that is larger than the disk', async () => {
    const spool = spoolOf(2 ** 60);
    expect(spool.fits(2 ** 60)).toBe(true);
    await spool.onModuleInit();
    const { blocks, bsize } = await statfs(folder);
    expect(spool.fits(blocks * bsize)).toBe(true);
    expect(spool.fits(blocks * bsize + 1)).toBe(false);
  });

  it('is unavailable while the disk is full, and recovers even if the disk was full at the start', async () => {
    const disk = { sizeBytes: 1000, freeBytes: 10 };
    class Crowded extends Spool {
      protected override disk() {
        return Promise.resolve({ ...disk });
      }
    }
    const spool = spoolOf(500, Crowded);
    await spool.onModuleInit();
    expect([spool.fits(500), spool.fits(501)]).toEqual([true, false]);
    await expect(spool.reserve(100)).rejects.toMatchObject({ kind: 'unavailable', reason: 'SPOOL_FULL' });
    disk.freeBytes = 100;
    await using file = await spool.reserve(100);
    // Reserved bytes that are not written yet count as used.
    await expect(spool.reserve(1)).rejects.toMatchObject({ reason: 'SPOOL_FULL' });
    await file.add(Buffer.alloc(100), ignore);
    await using next = await spool.reserve(100);
    disk.freeBytes = 1000;
    // Rejected reservations hold no bytes.
    await using rest = await spool.reserve(300);
    expect([file.bytes, next.bytes, rest.bytes]).toEqual([100, 100, 300]);
  });

  it('deletes the folders of ended processes only', async () => {
    const dead = spawn(process.execPath, ['-e', '']);
    await once(dead, 'exit');
    const mine = (pid: number | undefined) => `${hostname().replaceAll(/[^\w-]/g, '-')}.${pid}`;
    const [old, fresh] = ['another-host.1', 'another-host.2'];
    const names = [mine(dead.pid), mine(process.ppid), mine(process.pid), old, fresh, 'notes'];
    for (const name of names) {
      await mkdir(path.join(folder, name));
      await writeFile(path.join(folder, name, 'left'), '');
    }
    const days = new Date(Date.now() - 2 * 24 * 3_600_000);
    await utimes(path.join(folder, old), days, days);
    const spool = spoolOf(100);
    await spool.onModuleInit();
    expect((await readdir(folder)).sort()).toEqual(
      [mine(process.ppid), mine(process.pid), fresh, 'notes'].sort(),
    );
    const own = path.join(folder, mine(process.pid));
    expect(await readdir(own)).toEqual([]);
    await rm(own, { recursive: true });
    await using file = await spool.reserve(1);
    await file.add(Buffer.from('a'), ignore);
    await file.finish();
    expect(existsSync(file.path)).toBe(true);
    await spool.onApplicationShutdown();
    expect(existsSync(own)).toBe(false);
  });
});
