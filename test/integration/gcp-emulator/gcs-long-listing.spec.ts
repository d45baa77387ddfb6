import path from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { openDatabase, transaction } from '../../../libs/gcp-emulator/src/gcs/store/database.js';
import { ObjectRows } from '../../../libs/gcp-emulator/src/gcs/store/object-rows.js';
import { Harness } from './gcs.harness.js';

const COUNT = 100_000;
const PAGE = 1_000;
/** All objects together take about 35 MiB. */
const MAX_GROWTH_BYTES = 16 * 2 ** 20;

const nameOf = (index: number) => `content/${String(index).padStart(6, '0')}`;

/** Adds rows in one transaction and without files, which a listing does not read. */
function insertRows(dataDir: string): void {
  const db = openDatabase(path.join(dataDir, 'index.sqlite'));
  const rows = new ObjectRows(db, () => new Date());
  const [time, metadata] = ['2026-01-01T00:00:00.000Z', { storageClass: 'STANDARD' }];
  transaction(db, () => {
    for (let index = 0; index < COUNT; index++) {
      const sums = { size: 5, md5: 'md5', crc32c: 'AAAAAA==', blob: `blob-${index}` };
      const versions = { generation: index + 1, metageneration: 1 };
      const times = { createdAt: time, updatedAt: time };
      rows.insert({ bucket: 'long', name: nameOf(index), ...versions, ...sums, metadata, ...times });
    }
  });
  db.close();
}

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

function heapBytes(): number {
  collectGarbage();
  return process.memoryUsage().heapUsed;
}

interface Answer {
  items: { name: string }[];
  nextPageToken?: string;
}

/** Real: the emulator with its index and HTTP; the client and the emulator share one process. */
describe('a bucket with 100,000 objects', () => {
  let harness: Harness;

  beforeAll(async () => {
    harness = await Harness.start();
    await harness.storage.createBucket('long');
    await harness.emulator.close();
    insertRows(harness.dataDir);
    await harness.restart();
  });
  afterAll(() => harness.stop());

  async function* pages(): AsyncGenerator<Answer> {
    let pageToken: string | undefined;
    do {
      const query = new URLSearchParams({ maxResults: String(PAGE) });
      if (pageToken !== undefined) query.set('pageToken', pageToken);
      const response = await fetch(`${harness.emulator.url}/storage/v1/b/long/o?${query.toString()}`);
      const answer = (await response.json()) as Answer;
      pageToken = answer.nextPageToken;
      yield answer;
    } while (pageToken !== undefined);
  }

  it('is listed completely, in pages of 1,000 and in constant memory', async () => {
    let seen = 0;
    let misplaced = 0;
    const sizes: number[] = [];
    const heap: number[] = [];
    for await (const { items } of pages()) {
      for (const { name } of items) if (name !== nameOf(seen++)) misplaced++;
      sizes.push(items.length);
      if (sizes.length % 10 === 0) heap.push(heapBytes());
    }
    expect([seen, misplaced]).toEqual([COUNT, 0]);
    expect(sizes).toEqual(Array<number>(COUNT / PAGE).fill(PAGE));
    expect(Math.max(...heap) - Number(heap[0])).toBeLessThan(MAX_GROWTH_BYTES);
  });

  it('has one common prefix, which is listed without its objects', async () => {
    const [, , answer] = await harness.storage
      .bucket('long')
      .getFiles({ autoPaginate: false, delimiter: '/', maxResults: 10 });
    expect(answer).toEqual({ kind: 'storage#objects', prefixes: ['content/'] });
  });
});
