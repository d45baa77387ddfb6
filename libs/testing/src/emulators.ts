import { generateKeyPairSync } from 'node:crypto';
import fs from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { PubSub } from '@google-cloud/pubsub';
import { Storage } from '@google-cloud/storage';
import type { SaveOptions } from '@google-cloud/storage';
import { startGcsEmulator, startPubSubEmulator } from '#libs/gcp-emulator';
import type { MetadataOf, Put } from '#libs/storage/testing';

const pair = generateKeyPairSync('rsa', {
  modulusLength: 2048,
  publicKeyEncoding: { type: 'spki', format: 'pem' },
  privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
});
export const HMAC_KEY = { accessId: 'GOOG1EINTEGRATION', secret: 'an HMAC secret/of+the=suite' };
export const RSA_KEY = { clientEmail: 'signer@test.iam.gserviceaccount.com', privateKeyPem: pair.privateKey };

/** Encrypts the URLs of upload sessions. */
export const SESSION_KEY = '0123456789abcdef'.repeat(4);

export const PROJECT = 'integration';
export const NAMES = {
  incomingBucket: 'incoming',
  contentBucket: 'content',
  quarantineBucket: 'quarantine',
  subscription: 'object-finalized',
};

const SETTABLE = [
  'cacheControl',
  'contentDisposition',
  'contentEncoding',
  'contentLanguage',
  'contentType',
  'customTime',
  'eventBasedHold',
  'metadata',
  'temporaryHold',
] as const;

export const metadataReader =
  (client: Storage): MetadataOf =>
  async ({ bucket, key }) => {
    const [resource] = await client.bucket(bucket).file(key).getMetadata();
    return Object.fromEntries(
      SETTABLE.flatMap((field) => (resource[field] === undefined ? [] : [[field, resource[field]]])),
    );
  };

/** Emulators of Cloud Storage and Pub/Sub, connected to each other, with official clients for tests. */
export class Emulators implements AsyncDisposable {
  static async start(): Promise<Emulators> {
    const folder = await fs.mkdtemp(path.join(os.tmpdir(), 'storage-'));
    const pubsub = await startPubSubEmulator({ port: 0, dataDir: path.join(folder, 'pubsub') });
    const publisher = new PubSub({
      projectId: PROJECT,
      apiEndpoint: pubsub.address,
      emulatorMode: true,
      clientOptions: { universeDomain: 'googleapis.com' },
    });
    const gcs = await startGcsEmulator({
      port: 0,
      dataDir: path.join(folder, 'gcs'),
      hmacKeys: [HMAC_KEY],
      admin: true,
      rsaKeys: [{ clientEmail: RSA_KEY.clientEmail, publicKeyPem: pair.publicKey }],
      publish: async (topic, message) => {
        await publisher.topic(topic).publishMessage(message);
      },
    });
    return new Emulators(folder, gcs, pubsub, publisher);
  }

  readonly client: Storage;

  private constructor(
    private readonly folder: string,
    readonly gcs: Awaited<ReturnType<typeof startGcsEmulator>>,
    private pubsubServer: Awaited<ReturnType<typeof startPubSubEmulator>>,
    readonly pubsub: PubSub,
  ) {
    this.client = new Storage({ projectId: PROJECT, apiEndpoint: gcs.url });
  }

  get pubsubAddress(): string {
    return this.pubsubServer.address;
  }

  readonly put: Put = async ({ bucket, key }, bytes, metadata) => {
    const file = this.client.bucket(bucket).file(key);
    const options: SaveOptions = { resumable: false, validation: false, metadata: { ...metadata } };
    await file.save(bytes, options);
    return { bucket, key, version: String(file.metadata.generation) };
  };

  /** Stops Pub/Sub; the returned function starts it again at the address that it had. */
  async stopPubSub(): Promise<() => Promise<void>> {
    const { port } = this.pubsubServer;
    await this.pubsubServer.close();
    return async () => {
      this.pubsubServer = await startPubSubEmulator({ port, dataDir: path.join(this.folder, 'pubsub') });
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.gcs.close();
    await this.pubsub.close();
    await this.pubsubServer.close();
    await fs.rm(this.folder, { recursive: true });
  }
}
