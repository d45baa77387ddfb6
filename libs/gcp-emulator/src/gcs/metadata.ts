import { ApiError } from './http/errors.js';
import type { ObjectMetadata } from './store/objects.js';

type Kind = 'header' | 'boolean' | 'time' | 'class' | 'map';

/** Fields that a writer may set, and how each is checked. */
const FIELDS: Record<keyof ObjectMetadata, Kind> = {
  storageClass: 'class',
  contentType: 'header',
  contentEncoding: 'header',
  contentDisposition: 'header',
  contentLanguage: 'header',
  cacheControl: 'header',
  customTime: 'time',
  temporaryHold: 'boolean',
  eventBasedHold: 'boolean',
  metadata: 'map',
};

const STORAGE_CLASSES = new Set([
  'STANDARD',
  'NEARLINE',
  'COLDLINE',
  'ARCHIVE',
  'MULTI_REGIONAL',
  'REGIONAL',
  'DURABLE_REDUCED_AVAILABILITY',
]);

/** 8 KiB for the names and values of all custom metadata. https://docs.cloud.google.com/storage/quotas#objects */
const CUSTOM_METADATA_LIMIT = 8 * 1024;

/** Control characters. A header cannot carry them, so storing one would break every later download. */
const UNSENDABLE = /\p{Cc}/u;

const isMap = (value: unknown): value is Record<string, string> =>
  typeof value === 'object' &&
  value !== null &&
  !Array.isArray(value) &&
  Object.values(value).every((entry) => typeof entry === 'string');

const VALID: Record<Kind, (value: unknown) => boolean> = {
  header: (value) => typeof value === 'string' && !UNSENDABLE.test(value),
  boolean: (value) => typeof value === 'boolean',
  time: (value) => typeof value === 'string' && !Number.isNaN(Date.parse(value)),
  class: (value) => typeof value === 'string' && STORAGE_CLASSES.has(value),
  map: (value) =>
    isMap(value) && Buffer.byteLength(Object.entries(value).flat().join('')) <= CUSTOM_METADATA_LIMIT,
};

/** Applies a JSON merge patch (RFC 7396), in which null removes a field. https://www.rfc-editor.org/rfc/rfc7396 */
export function mergePatch(target: unknown, patch: unknown): unknown {
  if (typeof patch !== 'object' || patch === null || Array.isArray(patch)) return patch;
  const base = typeof target === 'object' && target !== null && !Array.isArray(target) ? target : {};
  const merged: Record<string, unknown> = { ...base };
  for (const [name, value] of Object.entries(patch)) {
    if (value === null) delete merged[name];
    else merged[name] = mergePatch(merged[name], value);
  }
  return merged;
}

/**
 * Picks the settable fields of an object resource. Unknown fields and fields that only the service sets are ignored.
 * @throws {ApiError} invalid when the value of a settable field is not valid
 */
export function settableMetadata(resource: Record<string, unknown>): Partial<ObjectMetadata> {
  const metadata: Record<string, unknown> = {};
  for (const [field, kind] of Object.entries(FIELDS)) {
    const value = resource[field];
    if (value === undefined || value === null) continue;
    if (!VALID[kind](value)) throw new ApiError('invalid', { message: `Invalid value for field ${field}.` });
    metadata[field] = value;
  }
  return metadata;
}

/** Returns the metadata after a PATCH. A patch cannot change the storage class; that takes a rewrite. */
export function patchedMetadata(current: ObjectMetadata, patch: Record<string, unknown>): ObjectMetadata {
  const { storageClass } = current;
  const merged = mergePatch(current, { ...patch, storageClass }) as Record<string, unknown>;
  return { ...settableMetadata(merged), storageClass };
}
