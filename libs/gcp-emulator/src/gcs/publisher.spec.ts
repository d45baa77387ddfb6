import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, it, jest } from '@jest/globals';
import { Publisher } from './publisher.js';
import { openStore, type Store } from './store/store.js';

let dataDir: string;
let store: Store;

beforeEach(async () => {
  dataDir = await mkdtemp(path.join(os.tmpdir(), 'stowage-publisher-'));
  store = await open(() => new Date());
  store.buckets.create('events', {});
  store.outbox.addConfig('events', { topic: 'projects/p/topics/t', payloadFormat: 'NONE' });
});
afterEach(async () => {
  jest.restoreAllMocks();
  store.close();
  await rm(dataDir, { recursive: true });
});

const open = (now: () => Date) =>
  openStore({ dataDir, baseUrl: () => 'http://127.0.0.1', now, onError: () => undefined });

const save = async (name: string) => {
  const blob = await store.blobs.write((async function* () {})());
  await store.objects.put({ bucket: 'events', name }, blob, { storageClass: 'STANDARD' }, () => undefined);
};

it("retries at once when a topic's backoff ends while the outbox is being read", async () => {
  let clock = 0;
  jest.spyOn(performance, 'now').mockImplementation(() => clock);
  const pending = store.outbox.pending.bind(store.outbox);
  jest.spyOn(store.outbox, 'pending').mockImplementation((limit, exceptTopics) => {
    const entries = pending(limit, exceptTopics);
    if (exceptTopics.length > 0) clock += 1_000;
    return entries;
  });
  await save('a');
  const retried = Promise.withResolvers<void>();
  let attempts = 0;
  const publish = () => {
    if (++attempts === 1) return Promise.reject(new Error('down'));
    retried.resolve();
    return Promise.resolve();
  };
  const publisher = new Publisher(store.outbox, publish, () => undefined);
  await retried.promise;
  await publisher.stop();
  expect(store.outbox.pending(10, [])).toEqual([]);
});

it('drops an event that could not be delivered for 7 days', async () => {
  await save('old');
  const later = new Date(Date.now() + 7 * 24 * 3_600_000 + 1_000);
  expect(store.outbox.pending(10, [])).toHaveLength(1);
  store.close();
  store = await open(() => later);
  store.outbox.dropUndeliverable();
  expect(store.outbox.pending(10, [])).toHaveLength(0);
});
