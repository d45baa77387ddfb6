import { ApiError } from './http/errors.js';

/**
 * Returns an object name that GCS accepts. https://docs.cloud.google.com/storage/docs/objects#naming
 * @throws {ApiError} invalidName
 */
export function checkObjectName(name: string): string {
  const size = Buffer.byteLength(name);
  const reserved = name === '.' || name === '..' || name.startsWith('.well-known/acme-challenge/');
  if (size === 0 || size > 1024 || reserved || /[\r\n\0]/.test(name)) throw new ApiError('invalidName');
  return name;
}

/**
 * Returns a bucket name that GCS accepts. https://docs.cloud.google.com/storage/docs/buckets#naming
 * @throws {ApiError} invalidBucketName
 */
export function checkBucketName(name: string): string {
  const longest = name.includes('.') ? 222 : 63;
  const wellFormed = /^[a-z0-9][a-z0-9._-]+[a-z0-9]$/.test(name) && name.length <= longest;
  if (!wellFormed || name.split('.').some((part) => part === '' || part.length > 63)) {
    throw new ApiError('invalidBucketName', { message: `Invalid bucket name: '${name}'` });
  }
  return name;
}
