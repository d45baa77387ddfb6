import { createRequire } from 'node:module';
import path from 'node:path';

interface MimeDbEntry {
  readonly source?: 'iana' | 'apache' | 'nginx';
  readonly extensions?: readonly string[];
}

/** Types by the ending of a name, from the registry of IANA and what web servers know: https://github.com/jshttp/mime-db */
const database = createRequire(import.meta.url)('mime-db') as Readonly<Record<string, MimeDbEntry>>;

/** Later ones win: the registry above all, and the names of kinds above `application/…`, which may be anything. */
const SOURCES: readonly MimeDbEntry['source'][] = ['nginx', 'apache', undefined, 'iana'];
const rankOf = ([type, { source }]: [string, MimeDbEntry]) =>
  2 * SOURCES.indexOf(source) + (type.startsWith('application/') ? 0 : 1);

const byExtension = new Map(
  Object.entries(database)
    .toSorted((one, other) => rankOf(one) - rankOf(other))
    .flatMap(([type, { extensions = [] }]) => extensions.map((extension) => [extension, type] as const)),
);

/** The media type that the name of a file suggests; application/octet-stream leaves it to the server. */
export const mediaTypeOf = (file: string) =>
  byExtension.get(path.extname(file).slice(1).toLowerCase()) ?? 'application/octet-stream';
