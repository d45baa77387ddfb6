import { createRequire } from 'node:module';
import path from 'node:path';

interface MimeDbEntry {
  readonly source?: 'iana' | 'apache' | 'nginx';
  readonly extensions?: readonly string[];
}

/** Media types by file extension, from IANA's registry and web servers: https://github.com/jshttp/mime-db */
const database = createRequire(import.meta.url)('mime-db') as Readonly<Record<string, MimeDbEntry>>;

/** In ascending precedence. Within a source, `application/…` ranks below other types, because it is less specific. */
const SOURCES: readonly MimeDbEntry['source'][] = ['nginx', 'apache', undefined, 'iana'];
const rankOf = ([type, { source }]: [string, MimeDbEntry]) =>
  2 * SOURCES.indexOf(source) + (type.startsWith('application/') ? 0 : 1);

const byExtension = new Map(
  Object.entries(database)
    .toSorted((one, other) => rankOf(one) - rankOf(other))
    .flatMap(([type, { extensions = [] }]) => extensions.map((extension) => [extension, type] as const)),
);

/** The media type for a file name; application/octet-stream if unknown, so that the server detects the type. */
export const mediaTypeOf = (file: string) =>
  byExtension.get(path.extname(file).slice(1).toLowerCase()) ?? 'application/octet-stream';
