/** Real: the emulators with their files, HTTP, gRPC. */
import {
  GcsObjectStore,
  GcsUploadSessions,
  GcsUrlSigner,
  StoredNotificationReader,
  PubSubObjectEvents,
  provision,
} from '#libs/storage/gcs';
import {
  objectEventsContract,
  objectStoreContract,
  uploadSessionsContract,
  urlSignerContract,
} from '#libs/storage/testing';
import {
  Emulators,
  HMAC_KEY,
  metadataReader,
  NAMES,
  PROJECT,
  RSA_KEY,
} from '../../../libs/testing/src/emulators.js';

async function provisioned() {
  const emulators = await Emulators.start();
  const endpoint = emulators.gcs.url;
  await provision({
    projectId: PROJECT,
    storage: { endpoint },
    pubsub: { emulator: emulators.pubsubAddress },
    names: NAMES,
  });
  return {
    emulators,
    endpoint,
    store: new GcsObjectStore({ endpoint }),
    bucket: NAMES.incomingBucket,
    put: emulators.put,
    metadataOf: metadataReader(emulators.client),
    close: () => emulators[Symbol.asyncDispose](),
  };
}

objectStoreContract('Google Cloud Storage', async () => ({
  ...(await provisioned()),
  otherBucket: NAMES.contentBucket,
}));

for (const [name, key] of [
  ['HMAC', HMAC_KEY],
  ['RSA', RSA_KEY],
] as const) {
  urlSignerContract(`Google Cloud Storage, ${name} key`, async () => {
    const given = await provisioned();
    return { ...given, signer: new GcsUrlSigner({ endpoint: given.endpoint, key }) };
  });
}

uploadSessionsContract('Google Cloud Storage', async () => {
  const given = await provisioned();
  return { ...given, sessions: new GcsUploadSessions({ endpoint: given.endpoint }) };
});

objectEventsContract('Google Cloud Storage over Pub/Sub', async () => {
  const given = await provisioned();
  const { pubsub, pubsubAddress } = given.emulators;
  // Like the provisioned subscription, but without the retry backoff, whose minimum is 10 s.
  await pubsub.topic(NAMES.subscription).createSubscription('contract', { ackDeadlineSeconds: 60 });
  const deadLetters = pubsub.topic(`${NAMES.subscription}-dead-letter`);
  await deadLetters.createSubscription('contract-dead-letter');
  return {
    ...given,
    consumer: () =>
      new PubSubObjectEvents({
        projectId: PROJECT,
        emulator: pubsubAddress,
        subscription: 'contract',
        deadLetterSubscription: 'contract-dead-letter',
        incomingBucket: NAMES.incomingBucket,
        pauseMs: { first: 10, longest: 50 },
        logger: { warn: () => undefined },
      }),
    sendMalformed: async () => {
      await pubsub.topic(NAMES.subscription).publishMessage({ data: Buffer.from('hello') });
    },
    sendGivenUp: async ({ bucket, key }) => {
      const attributes = {
        eventType: 'OBJECT_FINALIZE',
        bucketId: bucket,
        objectId: key,
        objectGeneration: '1',
        CloudPubSubDeadLetterSourceDeliveryCount: '100',
        CloudPubSubDeadLetterSourceSubscription: 'contract',
      };
      await deadLetters.publishMessage({ attributes });
    },
    reader: new StoredNotificationReader(NAMES.incomingBucket),
  };
});
