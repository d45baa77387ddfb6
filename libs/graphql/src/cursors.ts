import { crc32 } from 'node:zlib';
import { invalid } from '#libs/domain';
import type { PageRequest } from './paging.js';

/** First character of a cursor. A change of the format changes it, so that cursors of other releases are refused. */
const VERSION = '1';
/** Far above the length of a cursor with a title, and short enough to parse. */
const MAX_LENGTH = 4_096;

interface FieldType<Value> {
  encode(value: Value): string;
  /** Null for a text that encodes no value of the type. */
  decode(text: string): Value | null;
}

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
const WHOLE = /^-?[0-9]{1,19}$/;
/** Allows instants back to 1200 BCE, because the EXIF time of a picture can be arbitrary. */
const MILLIS = /^(\d{1,15}|-\d{1,14})$/;

const TYPES: {
  readonly instant: FieldType<Date>;
  readonly bigint: FieldType<bigint>;
  readonly uuid: FieldType<string>;
  readonly text: FieldType<string>;
} = {
  instant: {
    encode: (value) => String(value.getTime()),
    decode: (text) => (MILLIS.test(text) ? new Date(Number(text)) : null),
  },
  bigint: {
    encode: String,
    decode: (text) =>
      WHOLE.test(text) && BigInt.asIntN(64, BigInt(text)) === BigInt(text) ? BigInt(text) : null,
  },
  uuid: {
    encode: (value) => value,
    decode: (text) => (UUID.test(text) ? text : null),
  },
  text: {
    encode: (value) => value,
    // PostgreSQL texts cannot contain NUL.
    decode: (text) => (text.includes('\0') ? null : text),
  },
};

/**
 * Types of the fields of a position. `instant`: a Date, in milliseconds, which the column must not exceed in precision;
 * `bigint`: an int8; `uuid` in lower case; `text` without NUL.
 */
export type CursorFields = Readonly<Record<string, keyof typeof TYPES>>;

type ValueOf<Type extends keyof typeof TYPES> =
  (typeof TYPES)[Type] extends FieldType<infer Value> ? Value : never;

/** A position in a list: the values by which the list is ordered. */
export type CursorPosition<Fields extends CursorFields> = {
  readonly [Name in keyof Fields]: ValueOf<Fields[Name]>;
};

/** Encodes positions in one list as opaque cursors, and decodes them. */
export interface Cursors<Position> {
  encode(this: void, position: Position): string;
  /**
   * The position after which, or before which, the page begins; null for the first page.
   * @throws StowageError invalid CURSOR_INVALID for a cursor of another list, an altered cursor, and any other text
   */
  positionOf(this: void, page: PageRequest): Position | null;
}

/**
 * Creates the cursors of a list. A checksum over the list and the position detects foreign and altered cursors. It is no
 * secret: a client can forge a cursor, and gets a page at a position of its choice, so the statement must check access for each
 * row.
 * @param list name of the list, with its order and with each filter that its positions depend on
 * @param fields the fields by which the list is ordered, with their types; the last ones make the position unique
 * @example
 * const ALBUM_CURSORS = cursorsOf('albums newest first', { createdAt: 'instant', id: 'bigint' });
 * const position = ALBUM_CURSORS.positionOf(parsePage(args)); // { createdAt: Date, id: bigint } or null
 */
export function cursorsOf<const Fields extends CursorFields>(
  list: string,
  fields: Fields,
): Cursors<CursorPosition<Fields>> {
  const types = Object.entries(fields).map(([name, type]) => {
    const fieldType: FieldType<unknown> = TYPES[type];
    return { name, type: fieldType };
  });
  const seed = crc32(list);

  const encode = (position: CursorPosition<Fields>) => {
    const values = JSON.stringify(types.map(({ name, type }) => type.encode(position[name])));
    return Buffer.from(VERSION + crc32(values, seed).toString(36) + values).toString('base64url');
  };

  const decode = (cursor: string): CursorPosition<Fields> | null => {
    if (cursor.length > MAX_LENGTH) return null;
    const text = Buffer.from(cursor, 'base64url').toString();
    const values = parseTexts(text.slice(text.indexOf('[')));
    if (values?.length !== types.length) return null;
    const entries = types.map(({ name, type }, index) => [name, type.decode(values[index]!)] as const);
    if (entries.some(([, value]) => value === null)) return null;
    const position = Object.fromEntries(entries) as CursorPosition<Fields>;
    // Compares version and checksum, and refuses other spellings of the cursor.
    return encode(position) === cursor ? position : null;
  };

  return {
    encode,
    positionOf({ cursor, backward }) {
      if (cursor === null) return null;
      const position = decode(cursor);
      if (position !== null) return position;
      const message = 'The cursor does not belong to this list in this order.';
      throw invalid('CURSOR_INVALID', message, [backward ? 'before' : 'after']);
    },
  };
}

function parseTexts(json: string): string[] | null {
  try {
    const values: unknown = JSON.parse(json);
    return Array.isArray(values) && values.every((value) => typeof value === 'string') ? values : null;
  } catch {
    return null;
  }
}
