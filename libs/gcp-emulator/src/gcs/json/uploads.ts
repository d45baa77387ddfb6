import { ApiError } from '../http/errors.js';
import { jsonReply, parseJsonObject, type Exchange, type Reply } from '../http/exchange.js';
import { readRelated } from '../http/multipart.js';
import { queryConditions } from '../http/preconditions.js';
import type { Route } from '../http/router.js';
import { settableMetadata } from '../metadata.js';
import { checkObjectName } from '../names.js';
import { objectResource } from '../resources.js';
import type { ResumableUploads } from '../resumable/resumable-uploads.js';
import type { Store } from '../store/store.js';
import { answerJsonSession, startJsonSession } from './resumable.js';
import { checkBeforeUpload, parseHashHeader, receive, type Upload } from '../uploads.js';

const textOf = (value: unknown) => (typeof value === 'string' && value !== '' ? value : undefined);

/** Describes the upload from the query and the object resource. */
function describeUpload(
  store: Store,
  exchange: Exchange,
  resource: Record<string, unknown>,
  mediaType: string | undefined,
): Upload {
  const { settings, name: bucket } = store.buckets.get(exchange.param('bucket'));
  const name = exchange.query.get('name') || textOf(resource.name);
  if (name === undefined) throw new ApiError('required', { message: 'Required parameter: name' });
  const contentEncoding = exchange.query.get('contentEncoding');
  const { md5, crc32c } = parseHashHeader(exchange.header('x-goog-hash'));
  return {
    key: { bucket, name: checkObjectName(name) },
    metadata: {
      storageClass: settings.storageClass ?? 'STANDARD',
      ...settableMetadata({ contentType: mediaType, contentEncoding, ...resource }),
    },
    digests: { md5: textOf(resource.md5Hash) ?? md5, crc32c: textOf(resource.crc32c) ?? crc32c },
    conditions: queryConditions(exchange.query),
  };
}

async function multipart(store: Store, exchange: Exchange): Promise<Reply> {
  // The name may be only in the body. When the query has it, check the conditions before the client sends the bytes.
  const early = exchange.query.get('name');
  if (early) checkBeforeUpload(store, describeUpload(store, exchange, {}, undefined));
  const body = exchange.body();
  try {
    const { metadata, mediaType, media } = await readRelated(exchange.header('content-type') ?? '', body);
    const upload = describeUpload(store, exchange, parseJsonObject(metadata), mediaType);
    return jsonReply(objectResource(await receive(store, upload, media), store.baseUrl()));
  } finally {
    // After an error, the server must be able to read and drop the rest of the body.
    await body.return();
  }
}

async function simple(store: Store, exchange: Exchange): Promise<Reply> {
  const upload = describeUpload(store, exchange, {}, exchange.header('content-type'));
  checkBeforeUpload(store, upload);
  return jsonReply(objectResource(await receive(store, upload, exchange.body()), store.baseUrl()));
}

async function resumable(store: Store, uploads: ResumableUploads, exchange: Exchange): Promise<Reply> {
  const mediaType = exchange.header('x-upload-content-type');
  const upload = describeUpload(store, exchange, await exchange.json(), mediaType);
  return startJsonSession(store, uploads, exchange, upload);
}

/** Routes below `/upload`. https://docs.cloud.google.com/storage/docs/uploads-downloads#uploads */
export function uploadRoutes(store: Store, uploads: ResumableUploads): Route[] {
  const path = '/b/:bucket/o';
  const session = (exchange: Exchange) => answerJsonSession(store, uploads, exchange);
  const upload = (exchange: Exchange) => {
    if (exchange.query.has('upload_id')) return session(exchange);
    const type = exchange.query.get('uploadType');
    if (type === 'multipart') return multipart(store, exchange);
    if (type === 'media') return simple(store, exchange);
    if (type === 'resumable') return resumable(store, uploads, exchange);
    throw new ApiError('invalid', {
      message: `Unknown uploadType ${type}: use media, multipart or resumable.`,
    });
  };
  return [
    { method: 'POST', path, handler: upload },
    ...['PUT', 'DELETE', 'OPTIONS'].map((method) => ({ method, path, handler: session })),
  ];
}
