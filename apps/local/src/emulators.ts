/** The emulators of Cloud Storage and Pub/Sub, with the buckets, topics and subscriptions of the embedded stack in them. */
import path from 'node:path';
import { PubSub, type Topic } from '@google-cloud/pubsub';
import { pino } from 'pino';
import { startGcsEmulator, startPubSubEmulator } from '#libs/gcp-emulator';
import { provision } from '#libs/storage/gcs';

const PUBLISH_TIMEOUT_MS = 10_000;
const STOP_LIMIT_MS = 8_000;

const logger = pino({ level: process.env.LOG_LEVEL || 'info' });
/** Set by the supervisor, all of them. */
const setting = (name: string) => process.env[name] ?? '';
const projectId = setting('GOOGLE_CLOUD_PROJECT');
const dataFolder = setting('DATA_DIR');
const pubSubAddress = setting('PUBSUB_EMULATOR_HOST');
const ownPubSubPort = Number(setting('PUBSUB_PORT')) || null;

const pubSub =
  ownPubSubPort === null
    ? null
    : await startPubSubEmulator({
        port: ownPubSubPort,
        dataDir: path.join(dataFolder, 'pubsub'),
        onError: (error) => logger.error({ err: error }, 'Pub/Sub emulator'),
      });

const client = new PubSub({
  projectId,
  apiEndpoint: pubSubAddress,
  emulatorMode: true,
  // Known, so that the client does not go looking for a metadata server.
  clientOptions: { universeDomain: 'googleapis.com' },
});
const topics = new Map<string, Topic>();

function topic(name: string): Topic {
  const known = topics.get(name);
  if (known) return known;
  const made = client.topic(name, {
    batching: { maxMilliseconds: 2 },
    gaxOpts: { timeout: PUBLISH_TIMEOUT_MS, retry: null },
  });
  topics.set(name, made);
  return made;
}

const gcs = await startGcsEmulator({
  port: Number(new URL(setting('GCS_API_ENDPOINT')).port),
  dataDir: path.join(dataFolder, 'gcs'),
  hmacKeys: [{ accessId: setting('GCS_HMAC_ACCESS_ID'), secret: setting('GCS_HMAC_SECRET') }],
  publish: async (name, message) => {
    await topic(name).publishMessage(message);
  },
  onError: (error) => logger.error({ err: error }, 'Cloud Storage emulator'),
});

await provision({
  projectId,
  storage: { endpoint: gcs.url },
  pubsub: { emulator: pubSubAddress },
  names: {
    incomingBucket: setting('INCOMING_BUCKET'),
    contentBucket: setting('CONTENT_BUCKET'),
    quarantineBucket: setting('QUARANTINE_BUCKET'),
    subscription: setting('PUBSUB_SUBSCRIPTION'),
  },
});
logger.info({ gcs: gcs.port, pubSub: pubSub?.port }, 'The emulators serve');

let stopping = false;
async function stop(): Promise<void> {
  if (stopping) return;
  stopping = true;
  setTimeout(() => process.exit(1), STOP_LIMIT_MS).unref();
  await gcs.close();
  await client.close().catch(() => undefined);
  await pubSub?.close();
  process.exit(0);
}
process.on('SIGTERM', () => void stop());
process.on('disconnect', () => void stop());
process.send?.({ type: 'ready', ports: { gcs: gcs.port, pubSub: pubSub?.port } });
