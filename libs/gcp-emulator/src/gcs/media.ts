import fs from 'node:fs';
import { pipeline, type Readable } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { ApiError } from './http/errors.js';
import type { Reply } from './http/exchange.js';
import type { StoredObject } from './store/objects.js';
import type { Store } from './store/store.js';

/** Download options of one request. */
export interface MediaRequest {
  head: boolean;
  range?: string;
  acceptEncoding?: string;
  /** Response headers that override the object's own. */
  headers?: Record<string, string>;
}

interface Range {
  start: number;
  /** Inclusive. */
  end: number;
}

/**
 * Parses one byte range (RFC 9110). Like GCS, ignores a header that is not a single well-formed range.
 * @throws {ApiError} rangeNotSatisfiable when the range begins after the end of the object
 */
function parseRange(header: string | undefined, size: number): Range | undefined {
  const [, first = '', last = ''] = /^bytes=(\d*)-(\d*)$/.exec(header ?? '') ?? [];
  if (first === '' && last === '') return undefined;
  const range =
    first === ''
      ? { start: Math.max(0, size - Number(last)), end: size - 1 }
      : { start: Number(first), end: last === '' ? size - 1 : Math.min(Number(last), size - 1) };
  if (first !== '' && last !== '' && Number(last) < Number(first)) return undefined;
  if (range.start >= size) {
    throw new ApiError('rangeNotSatisfiable', { headers: { 'Content-Range': `bytes */${size}` } });
  }
  return range;
}

function acceptsGzip(acceptEncoding = ''): boolean {
  return acceptEncoding.split(',').some((part) => {
    const [coding, ...parameters] = part.split(';').map((piece) => piece.trim().toLowerCase());
    return coding === 'gzip' && !parameters.some((parameter) => /^q\s*=\s*0(\.0*)?$/.test(parameter));
  });
}

/** Encodes a header value as UTF-8: Node writes each character of a header as one Latin-1 byte. */
export const headerText = (value: string): string => Buffer.from(value, 'utf8').toString('latin1');

/** The XML API's ETag: the hex MD5 of the bytes, so equal content has equal ETags. */
export const contentEtag = ({ md5 }: StoredObject): string =>
  `"${Buffer.from(md5, 'base64').toString('hex')}"`;

/** Headers that describe the object, without those that depend on the body of one response. */
export function describe(object: StoredObject): Record<string, string> {
  const { metadata } = object;
  const headers: Record<string, string | undefined> = {
    'Content-Type': metadata.contentType ?? 'application/octet-stream',
    'Cache-Control': metadata.cacheControl ?? 'private, max-age=0',
    'Content-Disposition': metadata.contentDisposition,
    'Content-Language': metadata.contentLanguage,
    'Last-Modified': new Date(object.updatedAt).toUTCString(),
    'x-goog-generation': String(object.generation),
    'x-goog-metageneration': String(object.metageneration),
    'x-goog-storage-class': metadata.storageClass,
    'x-goog-hash': `crc32c=${object.crc32c},md5=${object.md5}`,
    'x-goog-stored-content-encoding': metadata.contentEncoding ?? 'identity',
    'x-goog-stored-content-length': String(object.size),
  };
  const present = Object.entries(headers).filter(
    (entry): entry is [string, string] => entry[1] !== undefined,
  );
  return Object.fromEntries(present.map(([name, value]) => [name, headerText(value)]));
}

/**
 * Returns the object's bytes as a response. An object stored with `Content-Encoding: gzip` is sent as stored to a
 * client that accepts gzip. Other clients get it decompressed (decompressive transcoding); a range is then ignored,
 * and the length is not sent. https://docs.cloud.google.com/storage/docs/transcoding
 */
export function openMedia(store: Store, object: StoredObject, request: MediaRequest): Reply {
  const { contentEncoding, cacheControl } = object.metadata;
  const gzipped = contentEncoding?.toLowerCase() === 'gzip';
  const headers: Record<string, string> = { ...describe(object), ...request.headers };
  if (gzipped) headers.Vary = 'Accept-Encoding';

  const sendAsStored = cacheControl?.includes('no-transform') === true || acceptsGzip(request.acceptEncoding);
  if (gzipped && !sendAsStored) {
    headers.Warning = '214 UploadServer gunzipped';
    if (request.head) return { status: 200, headers };
    const gunzip = createGunzip();
    pipeline(read(store, object), gunzip, () => undefined);
    return { status: 200, headers, body: gunzip };
  }

  if (contentEncoding) headers['Content-Encoding'] = contentEncoding;
  headers['Accept-Ranges'] = 'bytes';
  const range = parseRange(request.range, object.size);
  if (range) headers['Content-Range'] = `bytes ${range.start}-${range.end}/${object.size}`;
  const { start, end } = range ?? { start: 0, end: object.size - 1 };
  headers['Content-Length'] = String(end - start + 1);
  const status = range ? 206 : 200;
  if (request.head || object.size === 0) return { status, headers };
  return { status, headers, body: read(store, object, { start, end }) };
}

/** Opens the file in the tick that read the row, so the bytes stay readable after the object is replaced or deleted. */
function read(store: Store, object: StoredObject, range?: Range): Readable {
  return fs.createReadStream('', {
    fd: store.blobs.openSync(object.blob),
    ...range,
    highWaterMark: 256 * 1024,
  });
}
