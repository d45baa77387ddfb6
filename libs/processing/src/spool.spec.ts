import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, readdir, rm, stat, statfs, utimes, writeFile } from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { Spool } from './spool.js';

describe('the spool', () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'spool-'));
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  const spoolOf = (spoolBytes: number, kind = Spool) =>
    new kind({
      spoolFolder: folder,
      spoolBytes,
      admitUnscannable: [],
      profiles: [],
    });
  const nothing = () => undefined;

  it('holds a file until its room is disposed of, and gives chunks back once they are on disk', async () => {
    const spool = spoolOf(10 ** 7);
    const bytes = randomBytes(3_000_000);
    const room = await spool.reserve(bytes.length);
    const spent: number[] = [];
    for (let at = 0; at < bytes.length; at += 100_000) {
      await room.add(bytes.subarray(at, at + 100_000), ({ length }) => spent.push(length));
    }
    expect(spent.length).toBeGreaterThan(20);
    await room.finish();
    expect((await readFile(room.path)).equals(bytes)).toBe(true);
    expect((await stat(room.path)).mode & 0o777).toBe(0o644);
    expect((await stat(path.dirname(room.path))).mode & 0o777).toBe(0o711);
    await room[Symbol.asyncDispose]();
    expect(existsSync(room.path)).toBe(false);
  });

  it('gives room back also when the folder has gone before the file', async () => {
    const spool = spoolOf(100);
    const room = await spool.reserve(100);
    await room.add(Buffer.from('bytes'), nothing);
    await room.finish();
    await spool.onApplicationShutdown();
    await room[Symbol.asyncDispose]();
    await using next = await spool.reserve(100);
    expect(next.bytes).toBe(100);
  });

  it('gives room in the order in which it was asked for, and never more than there is', async () => {
    const spool = spoolOf(100);
    const order: string[] = [];
    const first = await spool.reserve(60);
    const large = spool.reserve(80).then((room) => (order.push('large'), room));
    const small = spool.reserve(10).then((room) => (order.push('small'), room));
    await new Promise(setImmediate);
    // There would be room for the small one; it would starve the large one.
    expect(order).toEqual([]);
    await first[Symbol.asyncDispose]();
    const rooms = await Promise.all([large, small]);
    expect(order).toEqual(['large', 'small']);
    for (const room of rooms) await room[Symbol.asyncDispose]();
    const whole = await spool.reserve(100);
    await whole[Symbol.asyncDispose]();
    // A second disposal gives nothing back.
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

  it('lets those behind go on when the first that waits gives up', async () => {
    const spool = spoolOf(100);
    await using held = await spool.reserve(50);
    expect(held.bytes).toBe(50);
    const aborted = new AbortController();
    const large = spool.reserve(90, aborted.signal);
    const small = spool.reserve(50);
    aborted.abort(new Error('no more'));
    await expect(large).rejects.toThrow('no more');
    await using room = await small;
    expect(room.bytes).toBe(50);
  });

  it('takes no more of a file than was asked for', async () => {
    await using room = await spoolOf(100).reserve(3);
    await expect(room.add(Buffer.from('four'), nothing)).rejects.toThrow('larger than its room');
    expect(spoolOf(100).fits(100)).toBe(true);
    expect(spoolOf(100).fits(101)).toBe(false);
  });

  it('takes what is larger than the whole disk for what never fits', async () => {
    const spool = spoolOf(2 ** 60);
    expect(spool.fits(2 ** 60)).toBe(true);
    await spool.onModuleInit();
    const { blocks, bsize } = await statfs(folder);
    expect(spool.fits(blocks * bsize)).toBe(true);
    expect(spool.fits(blocks * bsize + 1)).toBe(false);
  });

  it('waits for room on a disk that is full just now, also when it was at the start', async () => {
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
    await using room = await spool.reserve(100);
    // What is promised and not written is as good as taken.
    await expect(spool.reserve(1)).rejects.toMatchObject({ reason: 'SPOOL_FULL' });
    await room.add(Buffer.alloc(100), nothing);
    await using next = await spool.reserve(100);
    disk.freeBytes = 1000;
    // Nobody who was sent away has kept any of it.
    await using rest = await spool.reserve(300);
    expect([room.bytes, next.bytes, rest.bytes]).toEqual([100, 100, 300]);
  });

  it('removes what dead processes have left, and nothing of the living', async () => {
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
    await using room = await spool.reserve(1);
    await room.add(Buffer.from('a'), nothing);
    await room.finish();
    expect(existsSync(room.path)).toBe(true);
    await spool.onApplicationShutdown();
    expect(existsSync(own)).toBe(false);
  });
});
