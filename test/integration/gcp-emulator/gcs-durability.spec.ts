import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, mkdtemp, open, rm, writeFile } from 'node:fs/promises';
import http from 'node:http';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, it } from '@jest/globals';
import type { Bucket } from '@google-cloud/storage';
import { startGcsEmulator } from '../../../libs/gcp-emulator/src/gcs/index.js';
import { Harness, launchProcess, until } from './gcs.harness.js';

// Real: the emulator, its disk, the official client.
let harness: Harness;
let bucket: Bucket;
let clock: Date | undefined;

beforeEach(async () => {
  clock = undefined;
  harness = await Harness.start({ now: () => clock ?? new Date() });
  [bucket] = await harness.storage.createBucket('durable');
});
afterEach(() => harness.stop());

it('keeps buckets, objects and settings across a restart', async () => {
  const data = randomBytes(500_000);
  await bucket.setMetadata({ labels: { a: 'b' } });
  await bucket.file('a').save(data, { resumable: false, contentType: 'image/png' });
  const [before] = await bucket.file('a').getMetadata();
  await harness.restart();
  const again = harness.storage.bucket('durable');
  const [after] = await again.file('a').getMetadata();
  const links = { selfLink: undefined, mediaLink: undefined };
  expect({ ...after, ...links }).toEqual({ ...before, ...links });
  expect((await again.file('a').download())[0].equals(data)).toBe(true);
  expect((await again.getMetadata())[0].labels).toEqual({ a: 'b' });
});

it('never reuses a generation, even when the clock goes back and the object was deleted', async () => {
  await bucket.file('a').save('1', { resumable: false });
  const first = Number((await bucket.file('a').getMetadata())[0].generation);
  await bucket.file('a').delete();
  clock = new Date('2001-01-01T00:00:00Z');
  await harness.restart();
  const again = harness.storage.bucket('durable').file('a');
  await again.save('2', { resumable: false });
  expect(Number((await again.getMetadata())[0].generation)).toBe(first + 1);
});

it('deletes the bytes of replaced and deleted objects', async () => {
  for (const data of ['1', '2', '3']) await bucket.file('a').save(data, { resumable: false });
  await until(async () => (await harness.filesOnDisk()).length === 1);
  await bucket.file('a').delete();
  await until(async () => (await harness.filesOnDisk()).length === 0);
});

it('deletes only the files that a killed process left', async () => {
  await bucket.file('a').save('kept', { resumable: false });
  await harness.emulator.close();
  const kept = await harness.filesOnDisk();
  await writeFile(path.join(harness.dataDir, 'tmp', 'half'), 'half');
  await mkdir(path.join(harness.dataDir, 'objects', '00'), { recursive: true });
  await writeFile(path.join(harness.dataDir, 'objects', '00', '00000000-orphan'), 'orphan');
  await harness.restart();
  expect(await harness.filesOnDisk()).toEqual(kept);
  expect((await harness.storage.bucket('durable').file('a').download())[0].toString()).toBe('kept');
});

it('keeps all confirmed objects and no other files when it is killed during uploads', async () => {
  await harness.emulator.close();
  const { child, url } = await launchProcess(harness.dataDir);
  const confirmed: string[] = [];
  const upload = async (worker: number) => {
    for (let n = 0; ; n++) {
      const name = `object-${worker}-${n}`;
      const target = `${url}/upload/storage/v1/b/durable/o?uploadType=media&name=${name}`;
      const response = await fetch(target, { method: 'POST', body: name.repeat(20_000) });
      if (response.ok) confirmed.push(name);
    }
  };
  const workers = Promise.allSettled([0, 1, 2, 3].map(upload));
  await until(() => confirmed.length >= 40);
  child.kill('SIGKILL');
  await Promise.all([workers, once(child, 'exit')]);

  await harness.restart();
  const [files] = await harness.storage.bucket('durable').getFiles();
  const found = new Set(files.map(({ name }) => name));
  expect(confirmed.filter((name) => !found.has(name))).toEqual([]);
  expect(await harness.filesOnDisk()).toHaveLength(files.length);
  for (const file of files) {
    const [bytes] = await file.download();
    expect(bytes.toString()).toBe(file.name.repeat(20_000));
  }
});

it.each([
  ['not a database', async (file: string) => writeFile(file, 'this is no database, '.repeat(1000))],
  [
    'damaged in one page',
    async (file: string) => {
      const handle = await open(file, 'r+');
      await handle.write(Buffer.alloc(4096, 0xab), 0, 4096, 4096);
      await handle.close();
    },
  ],
])('refuses to start on an index that is %s', async (_, damage) => {
  await bucket.file('a').save('x', { resumable: false });
  await harness.emulator.close();
  await damage(path.join(harness.dataDir, 'index.sqlite'));
  const start = startGcsEmulator({ port: 0, dataDir: harness.dataDir });
  await expect(start).rejects.toThrow(
    /^The index of the object store, .*index\.sqlite, is damaged or cannot be opened\.$/,
  );
});

it('refuses to start on a folder that another emulator uses', async () => {
  const start = startGcsEmulator({ port: 0, dataDir: harness.dataDir });
  await expect(start).rejects.toThrow(/is in use by another process/);
  await bucket.file('a').save('still works', { resumable: false });
});

it('fails on a port in use and releases its folder', async () => {
  const dataDir = await mkdtemp(path.join(os.tmpdir(), 'stowage-gcs-'));
  const start = () => startGcsEmulator({ port: harness.emulator.port, dataDir });
  await expect(start()).rejects.toThrow(/EADDRINUSE/);
  await expect(start()).rejects.toThrow(/EADDRINUSE/);
  await rm(dataDir, { recursive: true });
});

it('finishes running uploads on close and accepts no new requests', async () => {
  const { url } = harness.emulator;
  const target = `${url}/upload/storage/v1/b/durable/o?uploadType=media&name=slow`;
  const upload = http.request(target, { method: 'POST', timeout: 20_000 });
  upload.write('first ');
  await until(async () => (await harness.filesOnDisk()).length === 1);
  const closed = harness.emulator.close();
  await until(() =>
    fetch(`${url}/storage/v1/b`).then(
      () => false,
      () => true,
    ),
  );
  upload.end('second');
  const [response] = (await once(upload, 'response')) as [http.IncomingMessage];
  expect(response.statusCode).toBe(200);
  response.resume();
  await closed;
  await harness.restart();
  expect((await harness.storage.bucket('durable').file('slow').download())[0].toString()).toBe(
    'first second',
  );
});

it('aborts an endless upload on close and discards its bytes', async () => {
  const target = `${harness.emulator.url}/upload/storage/v1/b/durable/o?uploadType=media&name=endless`;
  const upload = http.request(target, { method: 'POST', timeout: 20_000 });
  const failed = once(upload, 'error').catch((error: unknown) => [error]);
  upload.write('first ');
  await until(async () => (await harness.filesOnDisk()).length === 1);
  await harness.emulator.close();
  expect(await failed).toHaveLength(1);
  expect(await harness.filesOnDisk()).toEqual([]);
});
