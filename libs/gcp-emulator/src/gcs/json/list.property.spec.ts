import fc from 'fast-check';
import { describe, expect, it } from '@jest/globals';
import { openDatabase, prepared } from '../store/database.js';
import { ObjectRows } from '../store/object-rows.js';
import type { StoredObject } from '../store/objects.js';
import { listObjects } from './list.js';

const TIME = '2026-01-01T00:00:00.000Z';

function objectOf(name: string, index: number): StoredObject {
  const sums = { size: 1, md5: 'md5', crc32c: 'crc32c', blob: `blob-${index}` };
  const versions = { generation: index + 1, metageneration: 1 };
  const metadata = { storageClass: 'STANDARD' };
  return { bucket: 'b', name, ...versions, ...sums, metadata, createdAt: TIME, updatedAt: TIME };
}

/** Rows of an index in memory, which also has objects in other buckets. */
function rowsOf(names: readonly string[]) {
  const db = openDatabase(':memory:');
  for (const bucket of ['a', 'b', 'c']) {
    prepared(db, 'INSERT INTO buckets VALUES (?, ?, 1, ?, ?)').run(bucket, '{}', TIME, TIME);
  }
  const rows = new ObjectRows(db, () => new Date(TIME));
  rows.insert({ ...objectOf('other', 1_000), bucket: 'a' });
  rows.insert({ ...objectOf('other', 1_001), bucket: 'c' });
  names.forEach((name, index) => rows.insert(objectOf(name, index)));
  return { db, rows };
}

interface Listing {
  prefix?: string;
  delimiter?: string;
  startOffset?: string;
  endOffset?: string;
}

const byBytes = (a: string, b: string) => Buffer.compare(Buffer.from(a), Buffer.from(b));

/** The listing as documented: https://docs.cloud.google.com/storage/docs/json_api/v1/objects/list */
function model(names: readonly string[], { prefix = '', delimiter = '', startOffset, endOffset }: Listing) {
  const items: string[] = [];
  const prefixes: string[] = [];
  for (const name of [...names].sort(byBytes)) {
    if (!name.startsWith(prefix)) continue;
    if (startOffset !== undefined && byBytes(name, startOffset) < 0) continue;
    if (endOffset !== undefined && byBytes(name, endOffset) >= 0) continue;
    const cut = delimiter === '' ? -1 : name.indexOf(delimiter, prefix.length);
    if (cut < 0) items.push(name);
    else if (prefixes.at(-1) !== name.slice(0, cut + 1)) prefixes.push(name.slice(0, cut + 1));
  }
  return { items, prefixes };
}

/** Reads all pages, and checks that each is full but the last. */
function listed(rows: ObjectRows, listing: Listing, maxResults: number) {
  const items: string[] = [];
  const prefixes: string[] = [];
  let pageToken: string | undefined;
  do {
    const query = new URLSearchParams({ ...listing, maxResults: String(maxResults) });
    if (pageToken !== undefined) query.set('pageToken', pageToken);
    const page = listObjects(rows, 'b', query);
    items.push(...page.items.map(({ name }) => name));
    prefixes.push(...page.prefixes);
    pageToken = page.nextPageToken;
    if (pageToken !== undefined) expect(page.items.length + page.prefixes.length).toBe(maxResults);
  } while (pageToken !== undefined);
  return { items, prefixes };
}

const text = (lengths: { minLength: number; maxLength: number }) =>
  fc.string({ unit: fc.constantFrom('a', 'b', '/', '0', 'é', '\u{FFFF}', '😀', '\u{10FFFF}'), ...lengths });
const name = text({ minLength: 1, maxLength: 5 });
const offset = text({ minLength: 1, maxLength: 2 });
const listing = fc.record<Listing>(
  { prefix: offset, delimiter: fc.constant('/'), startOffset: offset, endOffset: offset },
  { requiredKeys: [] },
);

/** Real: SQLite. */
describe('listObjects', () => {
  it('lists each object or common prefix once, in the order of UTF-8 bytes, on pages of any size', () => {
    fc.assert(
      fc.property(
        fc.uniqueArray(name, { maxLength: 25 }),
        fc.array(fc.tuple(listing, fc.integer({ min: 1, max: 6 })), { minLength: 1, maxLength: 10 }),
        (names, listings) => {
          const { db, rows } = rowsOf(names);
          for (const [query, maxResults] of listings) {
            expect(listed(rows, query, maxResults)).toEqual(model(names, query));
          }
          db.close();
        },
      ),
      { numRuns: 150 },
    );
  });

  it('reads one row beyond the page and no more', () => {
    const { db, rows } = rowsOf(['1', '2', '3', '4']);
    prepared(db, "UPDATE objects SET metadata = 'unreadable' WHERE name = '4'").run();
    const page = (maxResults: number) => () =>
      listObjects(rows, 'b', new URLSearchParams({ maxResults: String(maxResults) })).items.length;
    expect(page(2)()).toBe(2);
    expect(page(3)).toThrow(SyntaxError);
    expect(page(2)()).toBe(2);
    db.close();
  });
});
