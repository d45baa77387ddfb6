import { ApiError } from '../http/errors.js';
import { jsonReply, parseJsonObject, type Exchange, type Reply } from '../http/exchange.js';
import { readRelated } from '../http/multipart.js';
import { checkConditions, queryConditions } from '../http/preconditions.js';
import type { Route } from '../http/router.js';
import { settableMetadata } from '../metadata.js';
import { checkObjectName } from '../names.js';
import { objectResource } from '../resources.js';
import type { Store } from '../store/store.js';
import { checkBeforeUpload, parseHashHeader, receive, type Upload } from '../uploads.js';

const textOf = (value: unknown) => (typeof value === 'string' && value !== '' ? value : undefined);

/** An upload as its query and its object resource describe it. */
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
  const conditions = queryConditions(exchange.query);
  const { md5, crc32c } = parseHashHeader(exchange.header('x-goog-hash'));
  return {
    key: { bucket, name: checkObjectName(name) },
    metadata: {
      storageClass: settings.storageClass ?? 'STANDARD',
      ...settableMetadata({ contentType: mediaType, contentEncoding, ...resource }),
    },
    digests: { md5: textOf(resource.md5Hash) ?? md5, crc32c: textOf(resource.crc32c) ?? crc32c },
    check: (current) => checkConditions(conditions, current),
  };
}

async function multipart(store: Store, exchange: Exchange): Promise<Reply> {
  // The name may still be in the body; where it is in the query, a lost race is told before the bytes are sent.
  const early = exchange.query.get('name');
  if (early)
    checkBeforeUpload(
      store,
      { bucket: exchange.param('bucket'), name: early },
      describeUpload(store, exchange, {}, undefined).check,
    );
  const body = exchange.body();
  try {
    const { metadata, mediaType, media } = await readRelated(exchange.header('content-type') ?? '', body);
    const upload = describeUpload(store, exchange, parseJsonObject(metadata), mediaType);
    return jsonReply(objectResource(await receive(store, upload, media), store.baseUrl()));
  } finally {
    // Refused half-way, the rest of the body must be free to be read and dropped.
    await body.return();
  }
}

async function simple(store: Store, exchange: Exchange): Promise<Reply> {
  const upload = describeUpload(store, exchange, {}, exchange.header('content-type'));
  checkBeforeUpload(store, upload.key, upload.check);
  return jsonReply(objectResource(await receive(store, upload, exchange.body()), store.baseUrl()));
}

/** https://docs.cloud.google.com/storage/docs/uploads-downloads#uploads */
export function uploadRoutes(store: Store): Route[] {
  const upload = (exchange: Exchange) => {
    const type = exchange.query.get('uploadType');
    if (type === 'multipart') return multipart(store, exchange);
    if (type === 'media') return simple(store, exchange);
    throw new ApiError(type === 'resumable' ? 'notImplemented' : 'invalid', {
      message: `uploadType ${type} is not implemented.`,
    });
  };
  return [{ method: 'POST', path: '/b/:bucket/o', handler: upload }];
}
