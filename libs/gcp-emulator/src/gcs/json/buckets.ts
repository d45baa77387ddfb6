import { ApiError } from '../http/errors.js';
import { jsonReply, noContent, type Exchange, type Reply } from '../http/exchange.js';
import { checkConditions, integerOf } from '../http/preconditions.js';
import type { Route } from '../http/router.js';
import { mergePatch } from '../metadata.js';
import { checkBucketName } from '../names.js';
import { bucketResource } from '../resources.js';
import type { BucketSettings, StoredBucket } from '../store/buckets.js';
import type { Store } from '../store/store.js';

/** Fields of a bucket resource that only the service writes. */
const OUTPUT_ONLY = new Set([
  'kind',
  'id',
  'name',
  'selfLink',
  'projectNumber',
  'metageneration',
  'etag',
  'timeCreated',
  'updated',
  'locationType',
]);

const settable = (resource: Record<string, unknown>): BucketSettings =>
  Object.fromEntries(Object.entries(resource).filter(([field]) => !OUTPUT_ONLY.has(field)));

/** Checks the settings that other parts of the emulator read back. */
function checkSettings(settings: BucketSettings): BucketSettings {
  const texts = (value: unknown) =>
    value === undefined || (Array.isArray(value) && value.every((v) => typeof v === 'string'));
  const { cors } = settings;
  const valid =
    cors === undefined ||
    (Array.isArray(cors) &&
      cors.every((rule) => texts(rule.origin) && texts(rule.method) && texts(rule.responseHeader)));
  if (!valid) throw new ApiError('invalid', { message: 'Invalid value for field cors.' });
  return settings;
}

function metagenerationCheck({ query }: Exchange): (bucket: StoredBucket) => void {
  const read = (name: string) => query.get(name);
  const conditions = {
    metagenerationMatch: integerOf(read, 'ifMetagenerationMatch'),
    metagenerationNotMatch: integerOf(read, 'ifMetagenerationNotMatch'),
  };
  return ({ metageneration }) => checkConditions(conditions, { generation: 0, metageneration });
}

/** Routes of buckets. https://docs.cloud.google.com/storage/docs/json_api/v1/buckets */
export function bucketRoutes(store: Store): Route[] {
  const { buckets } = store;
  const reply = (bucket: StoredBucket): Reply => jsonReply(bucketResource(bucket, store.baseUrl()));

  const create = async (exchange: Exchange) => {
    const body = await exchange.json();
    if (typeof body.name !== 'string')
      throw new ApiError('required', { message: 'Required parameter: name' });
    return reply(buckets.create(checkBucketName(body.name), checkSettings(settable(body))));
  };
  const list = () =>
    jsonReply({
      kind: 'storage#buckets',
      items: buckets.list().map((bucket) => bucketResource(bucket, store.baseUrl())),
    });
  const get = (exchange: Exchange) => {
    const bucket = buckets.get(exchange.param('bucket'));
    metagenerationCheck(exchange)(bucket);
    return reply(bucket);
  };
  const patch = async (exchange: Exchange) => {
    const body = settable(await exchange.json());
    const check = metagenerationCheck(exchange);
    const change = (bucket: StoredBucket) => {
      check(bucket);
      return checkSettings(mergePatch(bucket.settings, body) as BucketSettings);
    };
    return reply(buckets.update(exchange.param('bucket'), change));
  };
  const remove = (exchange: Exchange) => {
    buckets.delete(exchange.param('bucket'), metagenerationCheck(exchange));
    return noContent;
  };

  return [
    { method: 'POST', path: '/b', handler: create },
    { method: 'GET', path: '/b', handler: list },
    { method: 'GET', path: '/b/:bucket', handler: get },
    { method: 'PATCH', path: '/b/:bucket', handler: patch },
    { method: 'DELETE', path: '/b/:bucket', handler: remove },
  ];
}
