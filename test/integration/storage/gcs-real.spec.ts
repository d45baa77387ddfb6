/**
 * Real: Google Cloud Storage. The emulator cannot prove how the service itself behaves; with a project, run
 * `GCS_REAL_BUCKET=… [GCS_HMAC_ACCESS_ID=… GCS_HMAC_SECRET=…] npm test -- gcs-real`, with application default
 * credentials that may read and write the bucket. The bucket must be reserved for this suite and have no versioning.
 * The tests leave objects in the bucket: give it a lifecycle rule that deletes them after a day.
 */
import { Storage } from '@google-cloud/storage';
import type { SaveOptions } from '@google-cloud/storage';
import { it } from '@jest/globals';
import { GcsObjectStore, GcsUploadSessions, GcsUrlSigner } from '#libs/storage/gcs';
import { objectStoreContract, uploadSessionsContract, urlSignerContract } from '#libs/storage/testing';
import type { Put } from '#libs/storage/testing';
import { metadataReader } from '../../../libs/testing/src/emulators.js';

const {
  GCS_REAL_BUCKET: bucket,
  GCS_HMAC_ACCESS_ID: accessId,
  GCS_HMAC_SECRET: secret,
} = process.env as Record<string, string | undefined>;

if (bucket === undefined) {
  it.skip('needs GCS_REAL_BUCKET', () => undefined);
} else {
  const client = new Storage();
  const put: Put = async (object, bytes, metadata) => {
    const file = client.bucket(object.bucket).file(object.key);
    const options: SaveOptions = { resumable: false, validation: false, metadata: { ...metadata } };
    await file.save(bytes, options);
    return { bucket: object.bucket, key: object.key, version: String(file.metadata.generation) };
  };
  const given = {
    store: new GcsObjectStore(),
    bucket,
    otherBucket: bucket,
    put,
    metadataOf: metadataReader(client),
  };

  objectStoreContract('Google Cloud Storage itself', () => Promise.resolve(given));
  const sessions = new GcsUploadSessions();
  uploadSessionsContract('Google Cloud Storage itself', () => Promise.resolve({ ...given, sessions }));
  if (accessId !== undefined && secret !== undefined) {
    const signer = new GcsUrlSigner({ key: { accessId, secret } });
    urlSignerContract('Google Cloud Storage itself, HMAC key', () => Promise.resolve({ ...given, signer }));
  }
}
