import { ApiError } from '../http/errors.js';
import type { Exchange, Reply } from '../http/exchange.js';
import { checkConditions, headerConditions, integerOf } from '../http/preconditions.js';
import { contentEtag, headerText, openMedia } from '../media.js';
import { settableMetadata } from '../metadata.js';
import type { ResumableUploads } from '../resumable/resumable-uploads.js';
import type { ObjectKey, StoredObject } from '../store/objects.js';
import type { Store } from '../store/store.js';
import { putObject, startXmlSession } from './uploads.js';
import type { VerifiedRequest } from './v4-verifier.js';

/** An XML API request whose signature is valid. */
export interface XmlCall {
  store: Store;
  uploads: ResumableUploads;
  exchange: Exchange;
  key: ObjectKey;
  verified: VerifiedRequest;
}

type XmlHandler = (call: XmlCall) => Reply | Promise<Reply>;

/** Query parameters that select a subresource of the object or bucket instead of the object's bytes. */
const SUBRESOURCES = ['acl', 'compose', 'partNumber', 'retention', 'tagging', 'uploadId', 'uploads'];

const customHeaders = ({ metadata }: StoredObject): Record<string, string> =>
  Object.fromEntries(
    Object.entries(metadata.metadata ?? {}).map(([name, value]) => [
      `x-goog-meta-${name}`,
      headerText(value),
    ]),
  );

const listsEtag = (header: string, etag: string): boolean =>
  header.split(',').some((part) => part.trim() === '*' || part.trim().replace(/^W\//, '') === etag);

/** Evaluates If-Match before If-None-Match, as RFC 9110 requires. */
function checkEtag(exchange: Exchange, object: StoredObject): void {
  const etag = contentEtag(object);
  const wanted = exchange.header('if-match');
  if (wanted !== undefined && !listsEtag(wanted, etag)) throw new ApiError('preconditionFailed');
  const known = exchange.header('if-none-match');
  if (known !== undefined && listsEtag(known, etag))
    throw new ApiError('notModified', { headers: { ETag: etag } });
}

/** Response headers that the signed query overrides: `response-content-type` and `response-content-disposition`. */
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
    headers: { ETag: contentEtag(object), ...customHeaders(object), ...overrides(verified) },
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
  POST: startXmlSession,
  DELETE: deleteObject,
};

/** Handles a verified request. Everything but reading, writing and deleting single objects is answered 501. */
export async function handleXml(call: XmlCall): Promise<Reply> {
  const { exchange, key, verified } = call;
  const handler = HANDLERS[exchange.method];
  const unsupported = key.name === '' || SUBRESOURCES.some((name) => verified.query.has(name));
  if (unsupported) throw new ApiError('notImplemented');
  if (handler === undefined) throw new ApiError('methodNotAllowed');
  call.store.buckets.get(key.bucket);
  return handler(call);
}
