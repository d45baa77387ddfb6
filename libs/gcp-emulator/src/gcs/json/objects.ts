import { ApiError } from '../http/errors.js';
import { jsonReply, noContent, type Exchange, type Reply } from '../http/exchange.js';
import { checkConditions, integerOf, queryConditions } from '../http/preconditions.js';
import type { Route } from '../http/router.js';
import { openMedia } from '../media.js';
import { patchedMetadata, settableMetadata } from '../metadata.js';
import { checkObjectName } from '../names.js';
import { etagOf, objectResource } from '../resources.js';
import type { ObjectKey, ObjectMetadata, StoredObject } from '../store/objects.js';
import type { Store } from '../store/store.js';
import { listObjects } from './list.js';

const keyOf = (exchange: Exchange): ObjectKey => ({
  bucket: exchange.param('bucket'),
  name: exchange.param('object'),
});

const generationOf = ({ query }: Exchange, name = 'generation') => integerOf((n) => query.get(n), name);

/** Downloads an object's bytes, by `alt=media` or by a path below `/download`. */
function media(store: Store, exchange: Exchange): Reply {
  const object = store.objects.get(keyOf(exchange), generationOf(exchange));
  checkConditions(queryConditions(exchange.query), object, 'read');
  return openMedia(store, object, {
    head: exchange.method === 'HEAD',
    range: exchange.header('range'),
    acceptEncoding: exchange.header('accept-encoding'),
    headers: { ETag: etagOf(object) },
  });
}

/**
 * Metadata in the body replaces all metadata of the source; without any, the source's is copied. A client that
 * continues a rewrite sends `token` instead of metadata.
 */
function rewrittenMetadata(
  store: Store,
  exchange: Exchange,
  source: StoredObject,
  body: Record<string, unknown>,
): ObjectMetadata {
  const fields = Object.keys(body).filter((field) => field !== 'token');
  if (fields.length === 0) return source.metadata;
  const { settings } = store.buckets.get(exchange.param('destinationBucket'));
  return { storageClass: settings.storageClass ?? 'STANDARD', ...settableMetadata(body) };
}

/** Copies an object, always in one call: the new object shares the bytes through a hard link. */
async function rewrite(store: Store, exchange: Exchange): Promise<Reply> {
  const { query } = exchange;
  if (query.has('rewriteToken'))
    throw new ApiError('invalid', { message: 'Invalid value for rewriteToken.' });
  const body = await exchange.json();
  const target = {
    bucket: exchange.param('destinationBucket'),
    name: checkObjectName(exchange.param('destinationObject')),
  };
  store.buckets.get(target.bucket);
  const source = store.objects.get(keyOf(exchange), generationOf(exchange, 'sourceGeneration'));
  checkConditions(queryConditions(query, true), source);
  const conditions = queryConditions(query);
  checkConditions(conditions, store.objects.find(target));
  const metadata = rewrittenMetadata(store, exchange, source, body);
  const id = await store.blobs.copy(source.blob);
  const object = await store.objects.put(target, { ...source, id }, metadata, (current) =>
    checkConditions(conditions, current),
  );
  return jsonReply({
    kind: 'storage#rewriteResponse',
    totalBytesRewritten: String(object.size),
    objectSize: String(object.size),
    done: true,
    resource: objectResource(object, store.baseUrl()),
  });
}

/** Routes of objects. https://docs.cloud.google.com/storage/docs/json_api/v1/objects */
export function objectRoutes(store: Store): Route[] {
  const { objects } = store;
  const reply = (object: StoredObject): Reply => jsonReply(objectResource(object, store.baseUrl()));

  const list = (exchange: Exchange) => {
    const { name } = store.buckets.get(exchange.param('bucket'));
    const { items, prefixes, nextPageToken } = listObjects(objects, name, exchange.query);
    return jsonReply({
      kind: 'storage#objects',
      ...(items.length > 0 && { items: items.map((object) => objectResource(object, store.baseUrl())) }),
      ...(prefixes.length > 0 && { prefixes }),
      nextPageToken,
    });
  };
  const get = (exchange: Exchange) => {
    if (exchange.query.get('alt') === 'media') return media(store, exchange);
    const object = objects.get(keyOf(exchange), generationOf(exchange));
    checkConditions(queryConditions(exchange.query), object, 'read');
    return reply(object);
  };
  const patch = async (exchange: Exchange) => {
    const body = await exchange.json();
    const conditions = queryConditions(exchange.query);
    const change = (object: StoredObject) => {
      checkConditions(conditions, object);
      return patchedMetadata(object.metadata, body);
    };
    return reply(objects.update(keyOf(exchange), generationOf(exchange), change));
  };
  const remove = (exchange: Exchange) => {
    const conditions = queryConditions(exchange.query);
    objects.delete(keyOf(exchange), generationOf(exchange), (object) => checkConditions(conditions, object));
    return noContent;
  };
  const notImplemented = () => {
    throw new ApiError('notImplemented');
  };

  return [
    { method: 'GET', path: '/b/:bucket/o', handler: list },
    { method: 'GET', path: '/b/:bucket/o/:object', handler: get },
    { method: 'PATCH', path: '/b/:bucket/o/:object', handler: patch },
    { method: 'DELETE', path: '/b/:bucket/o/:object', handler: remove },
    {
      method: 'POST',
      path: '/b/:bucket/o/:object/rewriteTo/b/:destinationBucket/o/:destinationObject',
      handler: (exchange) => rewrite(store, exchange),
    },
    { method: 'POST', path: '/b/:bucket/o/:object/compose', handler: notImplemented },
    { method: 'POST', path: '/b/:bucket/o/:object/restore', handler: notImplemented },
    { method: 'POST', path: '/b/:bucket/o/:object/moveTo/o/:destinationObject', handler: notImplemented },
  ];
}

/** Routes below `/download`, which return the bytes without `alt=media`. */
export function downloadRoutes(store: Store): Route[] {
  return [{ method: 'GET', path: '/b/:bucket/o/:object', handler: (exchange) => media(store, exchange) }];
}
