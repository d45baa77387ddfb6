import { ApiError } from '../http/errors.js';
import { jsonReply, noContent, type Exchange } from '../http/exchange.js';
import type { Route } from '../http/router.js';
import { notificationResource } from '../resources.js';
import type { NotificationConfig } from '../store/outbox.js';
import type { Store } from '../store/store.js';

const MAX_CONFIGS_PER_BUCKET = 100;
const MAX_CUSTOM_ATTRIBUTES = 10;
const EVENT_TYPES = new Set(['OBJECT_FINALIZE', 'OBJECT_METADATA_UPDATE', 'OBJECT_DELETE', 'OBJECT_ARCHIVE']);

const invalid = (field: string) => new ApiError('invalid', { message: `Invalid value for field ${field}.` });

/** This resource is spelled in snake_case, unlike all others of the JSON API. */
function settingsOf(body: Record<string, unknown>): Omit<NotificationConfig, 'id'> {
  const { topic, payload_format: payloadFormat = 'JSON_API_V1', event_types: eventTypes } = body;
  const { object_name_prefix: objectNamePrefix, custom_attributes: customAttributes } = body;
  const [, topicName] =
    /^\/\/pubsub\.googleapis\.com\/(projects\/[^/]+\/topics\/[^/]+)$/.exec(
      typeof topic === 'string' ? topic : '',
    ) ?? [];
  if (topicName === undefined) throw invalid('topic');
  if (payloadFormat !== 'JSON_API_V1' && payloadFormat !== 'NONE') throw invalid('payload_format');
  const knownTypes = (types: unknown): types is string[] =>
    Array.isArray(types) && types.every((type) => EVENT_TYPES.has(type as string));
  if (eventTypes !== undefined && !knownTypes(eventTypes)) throw invalid('event_types');
  if (objectNamePrefix !== undefined && typeof objectNamePrefix !== 'string')
    throw invalid('object_name_prefix');
  if (customAttributes !== undefined && !isAttributes(customAttributes)) throw invalid('custom_attributes');
  return {
    topic: topicName,
    payloadFormat,
    // Like GCS, treat an empty list as every type.
    eventTypes: eventTypes?.length ? eventTypes : undefined,
    objectNamePrefix,
    customAttributes,
  };
}

function isAttributes(value: unknown): value is Record<string, string> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
  const values = Object.values(value);
  return values.length <= MAX_CUSTOM_ATTRIBUTES && values.every((entry) => typeof entry === 'string');
}

/** Routes of notification configs. https://docs.cloud.google.com/storage/docs/json_api/v1/notifications */
export function notificationRoutes(store: Store): Route[] {
  const { buckets, outbox } = store;
  const resource = (bucket: string, config: NotificationConfig) =>
    notificationResource(bucket, config, store.baseUrl());
  const find = (exchange: Exchange) => {
    const { name } = buckets.get(exchange.param('bucket'));
    const config = outbox.configs(name).find(({ id }) => id === exchange.param('id'));
    if (config === undefined) throw new ApiError('notFound');
    return { bucket: name, config };
  };

  const create = async (exchange: Exchange) => {
    const settings = settingsOf(await exchange.json());
    const { name } = buckets.get(exchange.param('bucket'));
    if (outbox.configs(name).length >= MAX_CONFIGS_PER_BUCKET) {
      throw new ApiError('invalid', { message: 'The bucket has too many notification configurations.' });
    }
    return jsonReply(resource(name, outbox.addConfig(name, settings)));
  };
  const list = (exchange: Exchange) => {
    const { name } = buckets.get(exchange.param('bucket'));
    return jsonReply({
      kind: 'storage#notifications',
      items: outbox.configs(name).map((config) => resource(name, config)),
    });
  };
  const get = (exchange: Exchange) => {
    const { bucket, config } = find(exchange);
    return jsonReply(resource(bucket, config));
  };
  const remove = (exchange: Exchange) => {
    const { bucket, config } = find(exchange);
    outbox.removeConfig(bucket, config.id);
    return noContent;
  };

  return [
    { method: 'POST', path: '/b/:bucket/notificationConfigs', handler: create },
    { method: 'GET', path: '/b/:bucket/notificationConfigs', handler: list },
    { method: 'GET', path: '/b/:bucket/notificationConfigs/:id', handler: get },
    { method: 'DELETE', path: '/b/:bucket/notificationConfigs/:id', handler: remove },
  ];
}
