import { ApiError } from '../http/errors.js';
import type { Exchange, Reply } from '../http/exchange.js';
import { headerConditions } from '../http/preconditions.js';
import { contentEtag, describe } from '../media.js';
import { settableMetadata } from '../metadata.js';
import { checkObjectName } from '../names.js';
import type { ResumableUploads } from '../resumable/resumable-uploads.js';
import { answerSession, findSession, hostUrl } from '../resumable/session-requests.js';
import type { ObjectKey, ObjectMetadata, StoredObject } from '../store/objects.js';
import { checkBeforeUpload, parseDigestHeaders, parseHashHeader, receive, type Upload } from '../uploads.js';
import type { XmlCall } from './objects.js';

const META_PREFIX = 'x-goog-meta-';

/** Headers that change what an upload stores. Ignoring one would store something other than the client asked for. */
const UNSUPPORTED_HEADERS = [
  'x-goog-copy-source',
  'x-goog-encryption-algorithm',
  'x-goog-encryption-key',
  'x-goog-encryption-key-sha256',
  'x-goog-encryption-kms-key-name',
];

function metadataOf({ store, exchange, key }: XmlCall): ObjectMetadata {
  const custom: Record<string, string> = {};
  for (const [name, value] of exchange.headerPairs()) {
    if (name.startsWith(META_PREFIX)) custom[name.slice(META_PREFIX.length)] = value;
  }
  const { settings } = store.buckets.get(key.bucket);
  return {
    storageClass: settings.storageClass ?? 'STANDARD',
    contentType: 'application/octet-stream',
    ...settableMetadata({
      storageClass: exchange.header('x-goog-storage-class'),
      contentType: exchange.header('content-type'),
      contentEncoding: exchange.header('content-encoding'),
      contentDisposition: exchange.header('content-disposition'),
      contentLanguage: exchange.header('content-language'),
      cacheControl: exchange.header('cache-control'),
      customTime: exchange.header('x-goog-custom-time'),
      metadata: Object.keys(custom).length > 0 ? custom : undefined,
    }),
  };
}

/** Parses `x-goog-content-length-range: min,max`, in bytes, both ends inclusive. */
function sizeRange(header: string | undefined): Upload['size'] {
  if (header === undefined) return undefined;
  const [, min, max] = /^\s*(\d{1,15})\s*,\s*(\d{1,15})\s*$/.exec(header) ?? [];
  if (min === undefined || max === undefined || Number(min) > Number(max)) {
    throw new ApiError('invalid', { details: 'x-goog-content-length-range must be of the form min,max.' });
  }
  return { min: Number(min), max: Number(max) };
}

function checkDeclaredLength(exchange: Exchange, size: Upload['size']): void {
  const declared = exchange.header('content-length');
  if (declared === undefined) {
    if (exchange.header('transfer-encoding') === undefined) throw new ApiError('lengthRequired');
    return;
  }
  if (size !== undefined && Number(declared) > size.max) throw new ApiError('tooLarge');
  if (size !== undefined && Number(declared) < size.min) throw new ApiError('tooSmall');
}

/** Reads everything about an upload that its first request fixes. */
function uploadOf(call: XmlCall): Upload {
  const { exchange, key } = call;
  checkObjectName(key.name);
  if (UNSUPPORTED_HEADERS.some((name) => exchange.header(name) !== undefined)) {
    throw new ApiError('notImplemented');
  }
  return {
    key,
    metadata: metadataOf(call),
    digests: parseHashHeader(exchange.header('x-goog-hash')),
    size: sizeRange(exchange.header('x-goog-content-length-range')),
    conditions: headerConditions((name) => exchange.header(name)),
  };
}

function uploaded(object: StoredObject): Reply {
  const headers = Object.entries(describe(object)).filter(([name]) => name.startsWith('x-goog-'));
  return {
    status: 200,
    headers: {
      ETag: contentEtag(object),
      'Content-Length': '0',
      'Content-Type': 'text/html; charset=UTF-8',
      ...Object.fromEntries(headers),
    },
  };
}

/** Uploads an object in one request. */
export async function putObject(call: XmlCall): Promise<Reply> {
  const { store, exchange, verified } = call;
  const upload = uploadOf(call);
  upload.digests = { ...parseDigestHeaders(exchange), sha256: verified.payloadSha256 };
  checkDeclaredLength(exchange, upload.size);
  checkBeforeUpload(store, upload);
  return uploaded(await receive(store, upload, exchange.body()));
}

/** Starts a resumable upload; every other kind of POST is not implemented. */
export function startXmlSession(call: XmlCall): Reply {
  const { store, uploads, exchange, key } = call;
  const resumable = exchange.header('x-goog-resumable');
  if (resumable === undefined) throw new ApiError('notImplemented');
  if (resumable !== 'start') throw new ApiError('invalid', { details: 'x-goog-resumable must be start.' });
  const upload = uploadOf(call);
  const origin = exchange.header('origin');
  const id = uploads.start({ api: 'xml', origin, upload, total: undefined });
  const path = [key.bucket, ...key.name.split('/')].map(encodeURIComponent).join('/');
  return {
    status: 201,
    headers: { Location: `${hostUrl(exchange, store)}/${path}?upload_id=${id}`, 'Content-Length': '0' },
  };
}

/** Handles a request on a session. The session id replaces a signature and gives access to that session alone. */
export function answerXmlSession(
  uploads: ResumableUploads,
  exchange: Exchange,
  key: ObjectKey,
): Promise<Reply> {
  return answerSession(uploads, findSession(uploads, exchange, 'xml', key), exchange, uploaded);
}
