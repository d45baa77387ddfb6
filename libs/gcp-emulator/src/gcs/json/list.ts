import { ApiError } from '../http/errors.js';
import { integerOf } from '../http/preconditions.js';
import { parseJsonObject } from '../http/exchange.js';
import type { Objects, StoredObject } from '../store/objects.js';

const PAGE = 1000;

/** The last code point. A prefix plus LAST sorts after every name with that prefix, unless the name contains LAST. */
const LAST = '\u{10FFFF}';

/** Cursor of a listing: at or after a name. `prefix` is the last common prefix, which must not be listed twice. */
interface Position {
  from: string;
  exclusive: boolean;
  prefix?: string;
}

/** One page of a listing. */
export interface Page {
  items: StoredObject[];
  prefixes: string[];
  nextPageToken?: string;
}

const encodeToken = (position: Position) => Buffer.from(JSON.stringify(position)).toString('base64url');

function decodeToken(token: string): Position {
  const { from, exclusive, prefix } = parseJsonObject(Buffer.from(token, 'base64url').toString('utf8'));
  if (typeof from !== 'string' || typeof exclusive !== 'boolean') {
    throw new ApiError('invalid', { message: 'Invalid value for pageToken.' });
  }
  return { from, exclusive, prefix: typeof prefix === 'string' ? prefix : undefined };
}

const later = (a: string, b: string) => (Buffer.compare(Buffer.from(a), Buffer.from(b)) >= 0 ? a : b);

/** Lists one page of a bucket's objects in the order of the UTF-8 bytes of their names. */
export function listObjects(objects: Pick<Objects, 'scan'>, bucket: string, query: URLSearchParams): Page {
  for (const name of ['matchGlob', 'softDeleted'] as const) {
    if (query.has(name)) throw new ApiError('notImplemented', { message: `${name} is not implemented.` });
  }
  const prefix = query.get('prefix') ?? '';
  const delimiter = query.get('delimiter') ?? '';
  const end = query.get('endOffset') || undefined;
  const limit = Math.min(PAGE, integerOf((name) => query.get(name), 'maxResults') || PAGE);
  const token = query.get('pageToken');
  const first: Position = { from: later(prefix, query.get('startOffset') ?? ''), exclusive: false };
  let position = token ? decodeToken(token) : first;

  const page: Page = { items: [], prefixes: [] };
  const isFull = () => page.items.length + page.prefixes.length === limit;
  /** Reads one statement's objects. Returns true when the listing continues behind the end of a common prefix. */
  const read = (): boolean => {
    for (const object of objects.scan({ bucket, ...position, end })) {
      if (!object.name.startsWith(prefix)) return false;
      const cut = delimiter === '' ? -1 : object.name.indexOf(delimiter, prefix.length);
      const common = cut < 0 ? undefined : object.name.slice(0, cut + delimiter.length);
      const isNew = common === undefined || common !== position.prefix;
      if (isNew && isFull()) {
        page.nextPageToken = encodeToken(position);
        return false;
      }
      if (common !== undefined && isNew) {
        page.prefixes.push(common);
        position = { from: common + LAST, exclusive: false, prefix: common };
        return true;
      }
      if (common === undefined) page.items.push(object);
      position = { from: object.name, exclusive: true, prefix: common };
    }
    return false;
  };
  while (read());
  return page;
}
