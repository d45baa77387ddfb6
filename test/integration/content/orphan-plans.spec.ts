import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { EXISTING_ASSETS } from '../../../libs/assets/src/incoming-orphans.service.js';
import {
  RECORDED,
  RECORDED_PAGE,
  UNRECORDED,
  WITHOUT_COPY,
} from '../../../libs/content/src/orphans.repository.js';
import { blocksOf, SeededDatabase } from '../../support/plans.js';

const OBJECTS = 50_000;
const PAGE = 1_000;

const SEED = `
  insert into stored_objects (id, sha256, crc32c, size_bytes, ref_count, state, created_at)
    select n, lpad(to_hex(n), 64, '0'), 'AAAAAA==', 1, 1, 'LIVE', now() from generate_series(1, ${OBJECTS}) n;
  insert into object_copies (stored_object_id, location, bucket, key, version)
    select id, 'primary', 'content', 'content/' || sha256, '1' from stored_objects;
  insert into object_variants (stored_object_id, spec, name, mime_type, width, height, size_bytes, bucket, key, version, created_at)
    select id, 'webp-320-q80-r1', 'small', 'image/webp', 1, 1, 1, 'content', 'variant/' || sha256 || '/webp-320-q80-r1', '1', now()
    from stored_objects`;

const keyOf = (n: number) => `content/${n.toString(16).padStart(64, '0')}`;

describe('statements of the comparison with the buckets (real: PostgreSQL)', () => {
  let database: SeededDatabase;
  beforeAll(async () => {
    database = await SeededDatabase.create(SEED);
  });
  afterAll(() => database?.[Symbol.asyncDispose]());

  it.each([
    ['the start', ''],
    ['the middle of the copies', keyOf(OBJECTS / 2)],
    ['the last copies', keyOf(OBJECTS - 10)],
    ['the end', 'w'],
  ])('read a page of rows from %s in the order of its bytes, without sorting the table', async (_, after) => {
    const values = ['content', after, PAGE];
    const { rows } = await database.client.query<{ key: string }>(RECORDED_PAGE.text, values);
    expect(rows).toHaveLength(after === 'w' ? 0 : PAGE);
    expect(rows.map(({ key }) => key)).toEqual(rows.map(({ key }) => key).sort());
    // Up to two pages of rows, with about four blocks for each: its index entry, row and stored object.
    expect(blocksOf(await database.explain(RECORDED_PAGE.text, values))).toBeLessThan(10 * PAGE);
  });

  it('find one row, the keys without a row, and assets by index', async () => {
    const found = await database.explain(RECORDED.text, ['content', keyOf(7)]);
    expect(found['Actual Rows']).toBe(1);
    expect(blocksOf(found)).toBeLessThan(50);
    const keys = Array.from({ length: PAGE }, (_, at) => keyOf(at + OBJECTS + 1 - PAGE / 2));
    const values = ['content', keys, keys.map(() => ''), keys.map((key) => key.slice('content/'.length))];
    const { rows } = await database.client.query<{ key: string }>(UNRECORDED.text, values);
    expect(rows.map(({ key }) => key).sort()).toEqual(keys.slice(PAGE / 2));
    expect(blocksOf(await database.explain(UNRECORDED.text, values))).toBeLessThan(20 * PAGE);
    const ids = ['019f5b1e-7c4b-7def-8a1b-0123456789ab'];
    expect(blocksOf(await database.explain(EXISTING_ASSETS.text, [ids]))).toBeLessThan(50);
  });

  it('find objects without a copy page by page', async () => {
    await database.client.query('delete from object_copies where stored_object_id in (3, 1000, 1001)');
    const page = async (after: number) =>
      (await database.client.query<object>(WITHOUT_COPY.text, [after, PAGE])).rows[0];
    expect(await page(0)).toEqual({ last: '1000', examined: PAGE, lost: ['3', '1000'] });
    expect(await page(1_000)).toEqual({ last: '2000', examined: PAGE, lost: ['1001'] });
    expect(await page(OBJECTS)).toEqual({ last: null, examined: 0, lost: [] });
    expect(blocksOf(await database.explain(WITHOUT_COPY.text, [5_000, PAGE]))).toBeLessThan(10 * PAGE);
  });
});
