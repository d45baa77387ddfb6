import { ApiError } from '../http/errors.js';
import type { Exchange, Reply } from '../http/exchange.js';
import { checkConditions, headerConditions, integerOf } from '../http/preconditions.js';
import { describe, headerText, openMedia } from '../media.js';
import { settableMetadata } from '../metadata.js';
import { checkObjectName } from '../names.js';
import type { ObjectKey, ObjectMetadata, StoredObject } from '../store/objects.js';
import type { Store } from '../store/store.js';
import { checkBeforeUpload, parseHashHeader, receive, type Upload } from '../uploads.js';
import type { VerifiedRequest } from './v4-verifier.js';

/** A request of the XML API whose signature holds. */
export interface XmlCall {
  store: Store;
  exchange: Exchange;
  key: ObjectKey;
  verified: VerifiedRequest;
}

type XmlHandler = (call: XmlCall) => Reply | Promise<Reply>;

const META_PREFIX = 'x-goog-meta-';

/** Headers that would change what a PUT means; to ignore them would be to store something else than was asked for. */
const UNSUPPORTED_PUT_HEADERS = [
  'x-goog-copy-source',
  'x-goog-encryption-algorithm',
  'x-goog-encryption-key',
  'x-goog-encryption-key-sha256',
  'x-goog-encryption-kms-key-name',
];

/** Query parameters that are not about the object's bytes but about something else of the object or bucket. */
const SUBRESOURCES = ['acl', 'compose', 'partNumber', 'retention', 'tagging', 'uploadId', 'uploads'];

const xmlEtag = ({ md5 }: StoredObject): string => `"${Buffer.from(md5, 'base64').toString('hex')}"`;

const customHeaders = ({ metadata }: StoredObject): Record<string, string> =>
  Object.fromEntries(
    Object.entries(metadata.metadata ?? {}).map(([name, value]) => [META_PREFIX + name, headerText(value)]),
  );

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

/** `x-goog-content-length-range: min,max`, both inclusive. */
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

async function putObject(call: XmlCall): Promise<Reply> {
  const { store, exchange, key, verified } = call;
  checkObjectName(key.name);
  if (UNSUPPORTED_PUT_HEADERS.some((name) => exchange.header(name) !== undefined)) {
    throw new ApiError('notImplemented');
  }
  const conditions = headerConditions((name) => exchange.header(name));
  const upload: Upload = {
    key,
    metadata: metadataOf(call),
    digests: {
      ...parseHashHeader(exchange.header('x-goog-hash')),
      ...(exchange.header('content-md5') !== undefined && { md5: exchange.header('content-md5') }),
      sha256: verified.payloadSha256,
    },
    size: sizeRange(exchange.header('x-goog-content-length-range')),
    check: (current) => checkConditions(conditions, current),
  };
  checkDeclaredLength(exchange, upload.size);
  checkBeforeUpload(store, key, upload.check);
  const object = await receive(store, upload, exchange.body());
  const headers = describe(object);
  return {
    status: 200,
    headers: {
      ETag: xmlEtag(object),
      'Content-Length': '0',
      'Content-Type': 'text/html; charset=UTF-8',
      ...Object.fromEntries(Object.entries(headers).filter(([name]) => name.startsWith('x-goog-'))),
    },
  };
}

const listsEtag = (header: string, etag: string): boolean =>
  header.split(',').some((part) => part.trim() === '*' || part.trim().replace(/^W\//, '') === etag);

/** RFC 9110: If-Match decides before If-None-Match. */
function checkEtag(exchange: Exchange, object: StoredObject): void {
  const etag = xmlEtag(object);
  const wanted = exchange.header('if-match');
  if (wanted !== undefined && !listsEtag(wanted, etag)) throw new ApiError('preconditionFailed');
  const known = exchange.header('if-none-match');
  if (known !== undefined && listsEtag(known, etag))
    throw new ApiError('notModified', { headers: { ETag: etag } });
}

/** `response-content-type` and `response-content-disposition`; being in the query they are signed. */
function overrides(verified: VerifiedRequest): Record<string, string> {
  const asked = {
    contentType: verified.query.get('response-content-type'),
    contentDisposition: verified.query.get('response-content-disposition'),
  };
  const { contentType, contentDisposition } = settableMetadata(asked);
  return {
    ...(contentType !== undefined && { 'Content-Type': headerText(contentType) }),
    ...(contentDisposition !== undefined && { 'Content-Disposition': headerText(contentDisposition) }),
  };
}

const generationOf = ({ verified }: XmlCall) => integerOf((name) => verified.query.get(name), 'generation');

function getObject(call: XmlCall): Reply {
  const { store, exchange, key, verified } = call;
  const object = store.objects.get(key, generationOf(call));
  checkConditions(
    headerConditions((name) => exchange.header(name)),
    object,
    'read',
  );
  checkEtag(exchange, object);
  return openMedia(store, object, {
    head: exchange.method === 'HEAD',
    range: exchange.header('range'),
    acceptEncoding: exchange.header('accept-encoding'),
    headers: { ETag: xmlEtag(object), ...customHeaders(object), ...overrides(verified) },
  });
}

function deleteObject(call: XmlCall): Reply {
  const conditions = headerConditions((name) => call.exchange.header(name));
  call.store.objects.delete(call.key, generationOf(call), (current) => checkConditions(conditions, current));
  return { status: 204 };
}

const HANDLERS: Record<string, XmlHandler> = {
  GET: getObject,
  HEAD: getObject,
  PUT: putObject,
  DELETE: deleteObject,
};

/** Answers a verified request. What the XML API can do beyond single objects and their bytes is 501. */
export async function handleXml(call: XmlCall): Promise<Reply> {
  const { exchange, key, verified } = call;
  const handler = HANDLERS[exchange.method];
  const unsupported = key.name === '' || SUBRESOURCES.some((name) => verified.query.has(name));
  if (unsupported || exchange.method === 'POST') throw new ApiError('notImplemented');
  if (handler === undefined) throw new ApiError('methodNotAllowed');
  call.store.buckets.get(key.bucket);
  return handler(call);
}
