import { describe, expect, it } from '@jest/globals';
import { StowageError } from '#libs/domain';
import { cursorsOf } from './cursors.js';

const FIELDS = { createdAt: 'instant', id: 'bigint', asset: 'uuid', title: 'text' } as const;
const POSITION = {
  createdAt: new Date('2026-07-01T10:00:00.123Z'),
  id: 2n ** 62n + 1n,
  asset: '019f0000-0000-7000-8000-000000000000',
  title: 'Ünïcode, "quoted": [1, 2]',
};
const ALBUMS = cursorsOf('albums', FIELDS);
const CURSOR = ALBUMS.encode(POSITION);

const pageAt = (cursor: string | null, backward = false) => ({ cursor, backward, size: 20 });
/** The error of a cursor, or its position. */
function read(cursor: string | null, cursors = ALBUMS, backward = false) {
  try {
    return cursors.positionOf(pageAt(cursor, backward));
  } catch (error) {
    if (!(error instanceof StowageError)) throw error;
    return [error.kind, error.reason, error.inputPath];
  }
}
const REFUSED = ['invalid', 'CURSOR_INVALID', ['after']];
const encoded = (text: string) => Buffer.from(text).toString('base64url');
const decoded = Buffer.from(CURSOR, 'base64url').toString();

describe('cursorsOf', () => {
  it('returns the position of its own cursor, and none for the first page', () => {
    expect(read(CURSOR)).toEqual(POSITION);
    expect(read(null)).toBeNull();
  });

  it.each([
    ['an instant before 1970', { createdAt: new Date(-62_135_596_800_000) }],
    ['an instant in the year 29349', { createdAt: new Date(8.64e14) }],
    ['the least bigint', { id: -(2n ** 63n) }],
    ['the greatest bigint', { id: 2n ** 63n - 1n }],
    ['an empty text', { title: '' }],
    ['a long text', { title: 'x'.repeat(1_000) }],
  ])('keeps %s', (_, part) => {
    const position = { ...POSITION, ...part };
    expect(read(ALBUMS.encode(position))).toEqual(position);
  });

  it('refuses the cursor of another list', () => {
    expect(read(CURSOR, cursorsOf('albums of user 7', FIELDS))).toEqual(REFUSED);
  });

  it('names the argument of a page that is read backwards', () => {
    expect(read('x', ALBUMS, true)).toEqual(['invalid', 'CURSOR_INVALID', ['before']]);
  });

  it('refuses a cursor with any changed, added or missing character', () => {
    const altered = Array.from(CURSOR, (character, index) => {
      const other = character === 'A' ? 'B' : 'A';
      return [CURSOR.slice(0, index) + other + CURSOR.slice(index + 1), CURSOR.slice(0, index)];
    }).flat();
    const padded = ['=', '!', ' ', 'A'].flatMap((extra) => [CURSOR + extra, extra + CURSOR]);
    for (const cursor of [...altered, ...padded]) expect(read(cursor)).toEqual(REFUSED);
  });

  it.each([
    ['of an earlier release', encoded(`CREATED_DESC:0:${POSITION.asset}`)],
    ['of another version', encoded(`2${decoded.slice(1)}`)],
    ['with values that are no texts', encoded('1abc[1,2,3,4]')],
    ['with too few values', cursorsOf('albums', { createdAt: 'instant' }).encode(POSITION)],
    ['that is an object', encoded('1abc{"length":4}')],
    ['that is nested deeply', encoded(`1abc${'['.repeat(2_000)}`)],
    ['that is long', 'A'.repeat(1_000_000)],
    ['that is empty', ''],
  ])('refuses a cursor %s', (_, cursor) => {
    expect(read(cursor)).toEqual(REFUSED);
  });

  it.each([
    ['instant', new Date(NaN)],
    ['instant', new Date(-999_999_999_999_999)],
    ['bigint', 2n ** 63n],
    ['uuid', 'not a uuid'],
    ['text', 'a\0b'],
  ] as const)('refuses a forged cursor whose %s is invalid (%#)', (type, value) => {
    const cursors = cursorsOf('forged', { value: type });
    const forged = cursors.encode({ value });
    expect(() => cursors.positionOf(pageAt(forged))).toThrow('The cursor does not belong');
  });
});
