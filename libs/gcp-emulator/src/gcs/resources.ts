import type { StoredBucket } from './store/buckets.js';
import type { StoredObject } from './store/objects.js';
import type { NotificationConfig } from './store/outbox.js';

/** Resources of the JSON API. https://docs.cloud.google.com/storage/docs/json_api/v1/objects */

const encode = encodeURIComponent;

/** Opaque ETag that changes with every generation and metageneration. */
export const etagOf = (versioned: { generation?: number; metageneration: number }): string =>
  Buffer.from(`${versioned.generation ?? 0}/${versioned.metageneration}`).toString('base64');

export function objectResource(object: StoredObject, baseUrl: string): Record<string, unknown> {
  const { bucket, name, generation } = object;
  const path = `/storage/v1/b/${encode(bucket)}/o/${encode(name)}`;
  return {
    kind: 'storage#object',
    id: `${bucket}/${name}/${generation}`,
    selfLink: `${baseUrl}${path}`,
    mediaLink: `${baseUrl}/download${path}?generation=${generation}&alt=media`,
    name,
    bucket,
    generation: String(generation),
    metageneration: String(object.metageneration),
    ...object.metadata,
    size: String(object.size),
    md5Hash: object.md5,
    crc32c: object.crc32c,
    etag: etagOf(object),
    timeCreated: object.createdAt,
    updated: object.updatedAt,
    timeStorageClassUpdated: object.createdAt,
    timeFinalized: object.createdAt,
  };
}

export function bucketResource(bucket: StoredBucket, baseUrl: string): Record<string, unknown> {
  return {
    location: 'US',
    locationType: 'multi-region',
    storageClass: 'STANDARD',
    ...bucket.settings,
    kind: 'storage#bucket',
    id: bucket.name,
    selfLink: `${baseUrl}/storage/v1/b/${encode(bucket.name)}`,
    name: bucket.name,
    projectNumber: '0',
    metageneration: String(bucket.metageneration),
    etag: etagOf(bucket),
    timeCreated: bucket.createdAt,
    updated: bucket.updatedAt,
  };
}

export function notificationResource(
  bucket: string,
  config: NotificationConfig,
  baseUrl: string,
): Record<string, unknown> {
  return {
    kind: 'storage#notification',
    id: config.id,
    selfLink: `${baseUrl}/storage/v1/b/${encode(bucket)}/notificationConfigs/${config.id}`,
    topic: `//pubsub.googleapis.com/${config.topic}`,
    payload_format: config.payloadFormat,
    event_types: config.eventTypes,
    object_name_prefix: config.objectNamePrefix,
    custom_attributes: config.customAttributes,
    etag: config.id,
  };
}
