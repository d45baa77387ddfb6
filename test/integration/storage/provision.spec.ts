import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { GcsUrlSigner, provision } from '#libs/storage/gcs';
import type { FieldDifference, ProvisionOptions } from '#libs/storage/gcs';
import { Emulators, HMAC_KEY, NAMES, PROJECT } from '../../../libs/testing/src/emulators.js';

const ALL = [
  'topic object-finalized',
  'topic object-finalized-dead-letter',
  'subscription object-finalized-dead-letter',
  'subscription object-finalized',
  'bucket incoming',
  'bucket content',
  'bucket quarantine',
  'notification incoming',
];
const everything = (action: string) =>
  ALL.map((resource) => ({ resource, action, changes: [] as FieldDifference[] }));

/** Real: both emulators with their files, the official clients. */
describe('provision', () => {
  let emulators: Emulators;
  beforeEach(async () => {
    emulators = await Emulators.start();
  });
  afterEach(() => emulators[Symbol.asyncDispose]());

  const run = (options: Partial<ProvisionOptions> = {}) =>
    provision({
      projectId: PROJECT,
      storage: { endpoint: emulators.gcs.url },
      pubsub: { emulator: emulators.pubsubAddress },
      names: NAMES,
      ...options,
    });
  const bucketOf = async (name: string) => (await emulators.client.bucket(name).getMetadata())[0];
  const subscriptionOf = async (name: string) => (await emulators.pubsub.subscription(name).getMetadata())[0];

  it('creates every resource once', async () => {
    expect(await run()).toEqual(everything('created'));
    expect(await run()).toEqual(everything('unchanged'));

    const incoming = await bucketOf('incoming');
    expect(incoming).toMatchObject({
      iamConfiguration: { uniformBucketLevelAccess: { enabled: true }, publicAccessPrevention: 'enforced' },
      softDeletePolicy: { retentionDurationSeconds: '0' },
      cors: [{ origin: ['*'], method: ['PUT', 'GET', 'HEAD'] }],
      lifecycle: { rule: [{ action: { type: 'Delete' }, condition: { age: 30 } }] },
    });
    expect(await bucketOf('content')).toMatchObject({ cors: [{ method: ['GET', 'HEAD'] }] });
    const quarantine = await bucketOf('quarantine');
    expect(quarantine).toMatchObject({
      iamConfiguration: { uniformBucketLevelAccess: { enabled: true }, publicAccessPrevention: 'enforced' },
      softDeletePolicy: { retentionDurationSeconds: '0' },
      lifecycle: { rule: [{ action: { type: 'Delete' }, condition: { age: 90 } }] },
    });
    expect(quarantine.cors ?? []).toEqual([]);
    expect(await subscriptionOf('object-finalized')).toMatchObject({
      ackDeadlineSeconds: 60,
      messageRetentionDuration: { seconds: '604800' },
      expirationPolicy: { ttl: null },
      retryPolicy: { minimumBackoff: { seconds: '10' }, maximumBackoff: { seconds: '600' } },
      deadLetterPolicy: { deadLetterTopic: `projects/${PROJECT}/topics/object-finalized-dead-letter` },
    });
    const [notifications] = await emulators.client.bucket('incoming').getNotifications();
    expect(notifications.map(({ metadata }) => metadata)).toMatchObject([
      {
        topic: `//pubsub.googleapis.com/projects/${PROJECT}/topics/object-finalized`,
        event_types: ['OBJECT_FINALIZE'],
        payload_format: 'JSON_API_V1',
      },
    ]);
    for (const other of ['content', 'quarantine']) {
      expect((await emulators.client.bucket(other).getNotifications())[0]).toEqual([]);
    }
  });

  it('allows pages exactly the headers of signed tickets and of resumable sessions', async () => {
    await run();
    const signer = new GcsUrlSigner({ endpoint: emulators.gcs.url, key: HMAC_KEY });
    const grant = {
      bucket: 'incoming',
      key: 'k',
      contentType: 'text/plain',
      sizeBytes: 1,
      crc32c: 'AAAAAA==',
    };
    const validity = { now: new Date(), expiresInSeconds: 60 };
    const signed = (await signer.signUpload(grant, validity)).headers.map(({ name }) => name);
    const ofSessions = ['content-range', 'range'];
    const allowed = (await bucketOf('incoming')).cors?.[0]?.responseHeader ?? [];
    expect([...allowed].sort()).toEqual([...new Set([...signed, ...ofSessions])].sort());

    const download = await signer.signDownload(
      { bucket: 'content', key: 'k', contentType: 'text/plain', contentDisposition: 'inline' },
      validity,
    );
    expect(download.headers).toEqual([]);
  });

  it('reports the changes of a dry run without applying them', async () => {
    expect(await run({ dryRun: true })).toEqual(everything('created'));
    expect((await emulators.client.getBuckets())[0]).toEqual([]);
    expect((await emulators.pubsub.getTopics())[0]).toEqual([]);

    await run();
    await emulators.client
      .bucket('incoming')
      .setMetadata({ softDeletePolicy: { retentionDurationSeconds: '604800' } });
    const changes = [{ field: 'softDeletePolicy.retentionDurationSeconds', from: '604800', to: '0' }];
    const wanted = everything('unchanged').map((row) =>
      row.resource === 'bucket incoming' ? { ...row, action: 'updated', changes } : row,
    );
    expect(await run({ dryRun: true })).toEqual(wanted);
    expect(await run()).toEqual(wanted);
    expect(await run()).toEqual(everything('unchanged'));
  });

  it('corrects drifted settings and leaves other settings alone', async () => {
    await run();
    const bucket = emulators.client.bucket('content');
    await bucket.setMetadata({ cors: [], labels: { mine: 'yes' } });
    await emulators.pubsub
      .subscription('object-finalized')
      .setMetadata({ ackDeadlineSeconds: 10, labels: { mine: 'yes' } });
    const updated = (await run()).filter(({ action }) => action !== 'unchanged');
    expect(updated).toEqual([
      {
        resource: 'subscription object-finalized',
        action: 'updated',
        changes: [{ field: 'ackDeadlineSeconds', from: 10, to: 60 }],
      },
      {
        resource: 'bucket content',
        action: 'updated',
        changes: [
          { field: 'cors', from: expect.anything(), to: [expect.objectContaining({ origin: ['*'] })] },
        ],
      },
    ]);
    expect(await bucketOf('content')).toMatchObject({
      labels: { mine: 'yes' },
      cors: [{ method: ['GET', 'HEAD'] }],
    });
    expect(await subscriptionOf('object-finalized')).toMatchObject({
      ackDeadlineSeconds: 60,
      labels: { mine: 'yes' },
    });
  });

  it('restricts the origins that may use the buckets', async () => {
    await run();
    const allowedOrigins = ['https://app.example.com'];
    const updated = (await run({ allowedOrigins })).filter(({ action }) => action === 'updated');
    const changes = [{ field: 'cors[0].origin', from: ['*'], to: allowedOrigins }];
    expect(updated.map(({ resource, changes }) => [resource, changes])).toEqual([
      ['bucket incoming', changes],
      ['bucket content', changes],
    ]);
    expect(await bucketOf('incoming')).toMatchObject({ cors: [{ origin: allowedOrigins }] });
  });

  it('sets the retention of the quarantine', async () => {
    await run();
    const changes = [{ field: 'lifecycle.rule[0].condition.age', from: 90, to: 7 }];
    const updated = (await run({ quarantineDays: 7 })).filter(({ action }) => action !== 'unchanged');
    expect(updated).toEqual([{ resource: 'bucket quarantine', action: 'updated', changes }]);
    expect(await bucketOf('quarantine')).toMatchObject({ lifecycle: { rule: [{ condition: { age: 7 } }] } });
    expect(await bucketOf('incoming')).toMatchObject({ lifecycle: { rule: [{ condition: { age: 30 } }] } });
  });

  it('succeeds when two runs are concurrent', async () => {
    const rounds = await Promise.all([run(), run()]);
    for (const name of ALL.filter((resource) => !resource.startsWith('notification'))) {
      const actions = rounds.map((rows) => rows.find(({ resource }) => resource === name)?.action);
      expect([name, ...actions.sort()]).toEqual([name, 'created', 'unchanged']);
    }
    expect(await run()).toEqual(everything('unchanged'));
  });

  it('rejects a subscription of another topic', async () => {
    await emulators.pubsub.createTopic('another');
    await emulators.pubsub.topic('another').createSubscription('object-finalized');
    await expect(run()).rejects.toThrow(/belongs to projects\/integration\/topics\/another/);
  });
});
