/**
 * Entry point of the emulators of Cloud Storage and Pub/Sub. Creates the buckets, topics and subscriptions that the
 * environment names. The emulators require no credentials: HOST is loopback by default, and every program that can
 * reach them must be trusted. Web pages need not be trusted: a request must have a Host of loopback or of
 * EMULATOR_ALLOWED_HOSTS, and a request of a page must have a signed URL.
 */
import path from 'node:path';
import { PubSub, type Topic } from '@google-cloud/pubsub';
import { pino } from 'pino';
import { startGcsEmulator, startPubSubEmulator } from '#libs/gcp-emulator';
import { boundedLine, loggedError, lowerPriority } from '#libs/runtime';
import { provision } from '#libs/storage/gcs';

const PUBLISH_TIMEOUT_MS = 10_000;
const STOP_LIMIT_MS = 8_000;
/**
 * Lower priority than the worker, so that receiving files does not take CPU from processing them. The value is not
 * lower, because on a machine that is busy with other work everything waits for storage.
 */
const NICE = 5;

const logger = pino({
  level: process.env.LOG_LEVEL || 'info',
  serializers: { err: loggedError },
  hooks: { streamWrite: boundedLine },
});
const setting = (name: string) => process.env[name] ?? '';
const settings = {
  projectId: setting('GOOGLE_CLOUD_PROJECT'),
  dataFolder: setting('DATA_DIR'),
  host: setting('HOST') || '127.0.0.1',
  gcsPort: Number(new URL(setting('GCS_API_ENDPOINT')).port),
  pubSubAddress: setting('PUBSUB_EMULATOR_HOST'),
  /** Null if PUBSUB_EMULATOR_HOST is an emulator that the user runs. */
  pubSubPort: Number(setting('PUBSUB_PORT')) || null,
  allowedHosts: setting('EMULATOR_ALLOWED_HOSTS')
    .split(/[\s,]+/)
    .filter(Boolean),
  /** Enables fault injection, to test how clients handle storage failures. */
  hasFaults: setting('STORAGE_FAULTS') === 'true',
};

/** Publishes Cloud Storage notifications through Pub/Sub's API, as Google does. */
function publisher() {
  const client = new PubSub({
    projectId: settings.projectId,
    apiEndpoint: settings.pubSubAddress,
    emulatorMode: true,
    // Prevents the client's request to a metadata server.
    clientOptions: { universeDomain: 'googleapis.com' },
  });
  const topics = new Map<string, Topic>();
  const topic = (name: string) => {
    // The storage emulator keeps unpublished notifications and retries them itself.
    const gaxOpts = { timeout: PUBLISH_TIMEOUT_MS, retry: null };
    const known = topics.get(name) ?? client.topic(name, { batching: { maxMilliseconds: 2 }, gaxOpts });
    topics.set(name, known);
    return known;
  };
  return {
    publish: async (name: string, message: { data: Buffer; attributes: Record<string, string> }) => {
      await topic(name).publishMessage(message);
    },
    close: () => client.close().catch(() => undefined),
  };
}

/** Starts the emulators and returns a function that stops them. */
async function start(): Promise<() => Promise<void>> {
  const { dataFolder, pubSubPort } = settings;
  const pubSub =
    pubSubPort === null
      ? null
      : await startPubSubEmulator({
          host: settings.host,
          port: pubSubPort,
          allowedHosts: settings.allowedHosts,
          dataDir: path.join(dataFolder, 'pubsub'),
          onError: (error) => logger.error({ err: error }, 'Pub/Sub emulator error'),
        });
  const { publish, close } = publisher();
  const gcs = await startGcsEmulator({
    host: settings.host,
    port: settings.gcsPort,
    allowedHosts: settings.allowedHosts,
    dataDir: path.join(dataFolder, 'gcs'),
    hmacKeys: [{ accessId: setting('GCS_HMAC_ACCESS_ID'), secret: setting('GCS_HMAC_SECRET') }],
    admin: settings.hasFaults,
    publish,
    onError: (error) => logger.error({ err: error }, 'Cloud Storage emulator error'),
  });
  // Without these settings, `npm run provision` creates the resources, once for processes that start side by side.
  if (setting('INCOMING_BUCKET') !== '') {
    await provision({
      projectId: settings.projectId,
      storage: { endpoint: gcs.url },
      pubsub: { emulator: settings.pubSubAddress },
      names: {
        incomingBucket: setting('INCOMING_BUCKET'),
        contentBucket: setting('CONTENT_BUCKET'),
        quarantineBucket: setting('QUARANTINE_BUCKET'),
        subscription: setting('PUBSUB_SUBSCRIPTION'),
        deadLetter: setting('PUBSUB_DEAD_LETTER_SUBSCRIPTION'),
      },
    });
  }
  logger.info({ gcs: gcs.port, pubSub: pubSub?.port }, 'emulators ready');
  process.send?.({ type: 'ready', ports: { gcs: gcs.port, pubSub: pubSub?.port } });
  return async () => {
    await gcs.close();
    await close();
    await pubSub?.close();
  };
}

try {
  const stop = await start();
  let stopping = false;
  const end = () => {
    if (stopping) return;
    stopping = true;
    setTimeout(() => process.exit(1), STOP_LIMIT_MS).unref();
    void stop().then(() => process.exit(0));
  };
  process.on('SIGTERM', end).on('disconnect', end);
  if (process.send && !process.connected) end();
  await lowerPriority(NICE);
} catch (error) {
  logger.fatal({ err: error }, 'emulators failed to start');
  process.exit(1);
}
