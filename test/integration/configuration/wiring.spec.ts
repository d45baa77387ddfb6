import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import os from 'node:os';
import path from 'node:path';
import { generateKeyPairSync } from 'node:crypto';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import type { DynamicModule } from '@nestjs/common';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { WorkerOptions } from 'bullmq';
import { StowageModule } from '../../../libs/stowage/src/stowage.module.js';
import { API_CONFIGURATION, readApiConfig } from '../../../libs/stowage/src/api/config.js';
import { WORKER_CONFIGURATION, readWorkerConfig } from '../../../libs/stowage/src/worker/config.js';
import { ProcessingJobsModule } from '#libs/processing/jobs';
import { variablesOf } from '#libs/runtime';
import { ClamdScanner, readMalwareHashes, scannerOf, SignatureListScanner } from '#libs/scanner';
import { GcsObjectStore, GcsUrlSigner } from '#libs/storage/gcs';
import { ObjectStore, UrlSigner } from '#libs/storage';
import {
  InspectAssetProcessor,
  ProcessAssetProcessor,
} from '../../../libs/processing/src/jobs/asset-processors.js';
import { Fleet } from '../../support/fleet.js';
import { valuesIn } from './module-tree.js';

const ROOT = path.resolve(import.meta.dirname, '../../..');
const NEEDED = {
  DATABASE_URL: 'postgresql://db/x',
  GOOGLE_CLOUD_PROJECT: 'project',
  GCS_API_ENDPOINT: 'http://gcs:1',
  INCOMING_BUCKET: 'incoming',
  CONTENT_BUCKET: 'content',
  QUARANTINE_BUCKET: 'quarantine',
  PUBSUB_SUBSCRIPTION: 'subscription',
  JWT_SECRET: 's'.repeat(32),
  JWT_ISSUER: 'issuer',
  JWT_AUDIENCE: 'audience',
  GCS_HMAC_ACCESS_ID: 'id',
  GCS_HMAC_SECRET: 'secret',
  UPLOAD_SESSION_KEYS: '1'.repeat(64),
};

const apiOf = (env: NodeJS.ProcessEnv) => StowageModule.forApi(readApiConfig({ ...NEEDED, ...env }));
const workerOf = (env: NodeJS.ProcessEnv) => StowageModule.forWorker(readWorkerConfig({ ...NEEDED, ...env }));

type ModuleOf = (env: NodeJS.ProcessEnv) => DynamicModule | Promise<DynamicModule>;
/** Values that libraries derive from their options, and a random id of Nest's. */
const VENDORS = /\.(storage|pubsub|agents)\.|^GqlModuleId$/;

/** The values of a module tree that change when these variables are set. */
async function changesBy(of: ModuleOf, env: NodeJS.ProcessEnv) {
  const [before, after] = [valuesIn(await of({})), valuesIn(await of(env))];
  const names = [...new Set([...before.keys(), ...after.keys()])];
  const own = names.filter((name) => !VENDORS.test(name) && before.get(name) !== after.get(name));
  return Object.fromEntries(own.map((name) => [name, after.get(name)]));
}

type Reached = Readonly<Record<string, unknown>>;
/** A value other than the default, and every value of the module tree that it changes. */
type Wire = readonly [value: string, reached: Reached];

const HOST_OF_STORAGE = {
  'GcsConfig.endpoint': 'http://other:2',
  'ObjectStore.client.host': 'other',
  'UploadSessions.client.host': 'other',
  'UploadSessions.origin': 'http://other:2',
  'UploadSessions.publicOrigin': 'http://other:2',
};
const INCOMING_BUCKET_OF_BOTH = {
  'AssetsConfig.incomingBucket': 'other',
  'ObjectEvents.options.incomingBucket': 'other',
  PROBED_BUCKET: 'other',
};

const BOTH: Readonly<Record<string, Wire>> = {
  DATABASE_URL: ['postgresql://other/x', { 'DatabaseConfig.url': 'postgresql://other/x' }],
  CLOCK_OFFSET_LIMIT_SECONDS: ['77', { 'DatabaseConfig.clockLimitSeconds': 77 }],
  DATABASE_POOL: ['7', { 'DatabaseConfig.poolSize': 7 }],
  REDIS_URL: ['redis://other:1', { 'QueueConfig.redisUrl': 'redis://other:1' }],
  GOOGLE_CLOUD_PROJECT: [
    'other',
    { 'GcsConfig.projectId': 'other', 'ObjectEvents.options.projectId': 'other' },
  ],
  CONTENT_BUCKET: ['other', { 'ContentConfig.contentBucket': 'other' }],
  UPLOAD_SESSION_KEYS: ['2'.repeat(64), { 'AssetsConfig.uploadSessionKeys': '2'.repeat(64) }],
  DEDUPE_SCOPE: ['owner', { 'ContentConfig.dedupeScope': 'owner' }],
  ALLOWED_TYPES: ['image/png', { 'AssetsConfig.allowedTypes': 'image/png' }],
  QUOTA_BYTES: ['77', { 'QuotaConfig.limitBytes': 77 }],
  QUOTA_ASSETS: ['77', { 'QuotaConfig.limitAssets': 77 }],
  DELETED_DAYS: ['77', { 'AssetsConfig.deletedDays': 77 }],
  FINISHED_UPLOAD_DAYS: ['77', { 'AssetsConfig.finishedUploadDays': 77 }],
  RESTORE_WINDOW_DAYS: ['77', { 'ContentConfig.restoreWindowDays': 77 }],
  DEAD_LETTER_DAYS: ['77', { 'QueueConfig.deadLetterDays': 77 }],
  LOG_LEVEL: ['fatal', { 'LoggingConfig.level': 'fatal', 'pino-params.pinoHttp.level': 'fatal' }],
};

const API: Readonly<Record<string, Wire>> = {
  ...BOTH,
  PUBSUB_SUBSCRIPTION: [
    'other',
    { 'PubSubHealthConfig.subscription': 'other', 'ObjectEvents.options.subscription': 'other' },
  ],
  PUBSUB_EMULATOR_HOST: [
    'other:4',
    { 'PubSubHealthConfig.emulator': 'other:4', 'ObjectEvents.options.emulator': 'other:4' },
  ],
  GCS_API_ENDPOINT: [
    'http://other:2',
    { ...HOST_OF_STORAGE, 'UrlSigner.endpoint': 'http://other:2', 'UrlSigner.host': 'host,other' },
  ],
  GCS_PUBLIC_ENDPOINT: [
    'http://public:5',
    {
      'GcsSigningConfig.publicEndpoint': 'http://public:5',
      'UploadSessions.publicOrigin': 'http://public:5',
      'UrlSigner.endpoint': 'http://public:5',
      'UrlSigner.host': 'host,public',
    },
  ],
  INCOMING_BUCKET: ['other', { ...INCOMING_BUCKET_OF_BOTH, 'ObjectEventReader.bucket': 'other' }],
  JWT_SECRET: ['o'.repeat(32), { 'IdentityConfig.secret': 'o'.repeat(32) }],
  JWT_ISSUER: ['other', { 'IdentityConfig.issuer': 'other' }],
  JWT_AUDIENCE: ['other', { 'IdentityConfig.audience': 'other' }],
  JWT_GROUPS_POINTER: ['/other', { 'IdentityConfig.groupsPointer': '/other' }],
  JWT_SCOPES_POINTER: ['/other', { 'IdentityConfig.scopesPointer': '/other' }],
  GCS_HMAC_ACCESS_ID: ['other', { 'GcsSigningConfig.accessId': 'other', 'UrlSigner.key.accessId': 'other' }],
  MAX_UPLOAD_BYTES: ['77', { 'UploadConfig.maxUploadBytes': 77 }],
  UPLOAD_URL_SECONDS: ['77', { 'UploadConfig.urlSeconds': 77 }],
  DOWNLOAD_URL_MAX_SECONDS: ['7777', { 'DeliveryConfig.maxSeconds': 7777 }],
  PORT: ['77', { 'HttpConfig.port': 77 }],
  ALLOWED_HOSTS: ['other:1', { 'HttpConfig.allowedHosts': 'other:1' }],
  CORS_ORIGINS: [
    'https://other.example',
    { 'HttpConfig.corsOrigins': 'https://other.example', 'UploadConfig.origins': 'https://other.example' },
  ],
  CORS_HEADERS: ['x-other', { 'HttpConfig.corsHeaders': 'x-other' }],
  PLAYGROUND: ['false', { 'PlaygroundConfig.served': false }],
  PLAYGROUND_TOKEN: ['other', { 'PlaygroundConfig.token': 'other' }],
  NODE_ENV: ['production', { 'PlaygroundConfig.nodeEnv': 'production' }],
  RATE_LIMIT_PER_MINUTE: ['77', { 'RateLimitConfig.perMinute': 77 }],
  CACHE_REDIS_URL: ['redis://cache:1', { 'RateLimitConfig.redisUrl': 'redis://cache:1' }],
  SUBSCRIPTIONS_PER_OWNER: ['77', { 'SubscriptionsConfig.subscriptions': 77 }],
  SUBSCRIPTION_BYTES_PER_OWNER: ['777777', { 'SubscriptionsConfig.unsentBytes': 777777 }],
  SUBSCRIPTION_WORK_PER_SECOND: ['77', { 'SubscriptionRateConfig.perSecond': 77 }],
};

const WORKER: Readonly<Record<string, Wire>> = {
  ...BOTH,
  PUBSUB_SUBSCRIPTION: [
    'other',
    { 'PubSubConfig.subscription': 'other', 'ObjectEvents.options.subscription': 'other' },
  ],
  PUBSUB_EMULATOR_HOST: [
    'other:4',
    { 'PubSubConfig.emulator': 'other:4', 'ObjectEvents.options.emulator': 'other:4' },
  ],
  GCS_API_ENDPOINT: ['http://other:2', HOST_OF_STORAGE],
  INCOMING_BUCKET: ['other', { ...INCOMING_BUCKET_OF_BOTH, 'ContentStoreConfig.incomingBucket': 'other' }],
  PUBSUB_DEAD_LETTER_SUBSCRIPTION: [
    'other',
    {
      'PubSubConfig.deadLetterSubscription': 'other',
      'ObjectEvents.options.deadLetterSubscription': 'other',
    },
  ],
  QUARANTINE_BUCKET: ['other', { 'ContentStoreConfig.quarantineBucket': 'other' }],
  SPOOL_DIR: ['/other', { 'InspectionConfig.spoolFolder': '/other' }],
  INSPECT_PROCESSES: ['7', { 'InspectionConfig.processes': 7 }],
  INSPECT_SECONDS: ['77', { 'InspectionConfig.seconds': 77 }],
  INSPECT_MEMORY: ['777', { 'InspectionConfig.memoryBytes': 777 }],
  MAX_PIXELS: ['77', { 'InspectionConfig.maxPixels': 77 }],
  MAX_FRAMES: ['77', { 'InspectionConfig.maxFrames': 77 }],
  CLAMD_MAX_BYTES: ['77', { 'ScannerConfig.maxBytes': 77, 'InspectionConfig.scannableBytes': 77 }],
  RESCAN_BYTES: ['77', { 'ProcessingConfig.rescanBytesPerSecond': 77 }],
  VERIFY_DAYS: ['77', { 'ContentStoreConfig.verifyDays': 77 }],
  VERIFY_BYTES_PER_SECOND: ['77', { 'ContentStoreConfig.verifyBytesPerSecond': 77 }],
  FINDING_DAYS: ['77', { 'ContentStoreConfig.findingDays': 77 }],
  EVENT_RETENTION_DAYS: ['77', { 'EventsConfig.retentionDays': 77 }],
  TASK_ACTIONS_PER_SECOND: ['77', { 'TasksConfig.actionsPerSecond': 77 }],
  TASK_CONFIRM_ACTIONS: ['77', { 'TasksConfig.confirmActions': 77 }],
  TASK_CONFIRM_PERCENT: ['77', { 'TasksConfig.confirmPercent': 77 }],
  TASK_RUN_DAYS: ['77', { 'TasksConfig.runDays': 77 }],
  SPOOL_BYTES: ['77', { 'ProcessingConfig.spoolBytes': 77 }],
  ADMIT_UNSCANNABLE: ['image/png', { 'ProcessingConfig.admitUnscannable': 'image/png' }],
  VARIANT_PROFILES: [
    'other=webp:77:50, large=webp:1280:80',
    {
      'ContentStoreConfig.profiles.0.name': 'other',
      'ContentStoreConfig.profiles.0.width': 77,
      'ContentStoreConfig.profiles.0.height': 77,
      'ContentStoreConfig.profiles.0.quality': 50,
    },
  ],
  WORKER_CONCURRENCY: ['7', { 'ProcessingConfig.concurrency': 7 }],
  JOB_LOCK_SECONDS: ['77', { 'ProcessingConfig.lockSeconds': 77 }],
  WORKER_PORT: ['77', { 'MonitoringConfig.port': 77 }],
  WORKER_ALLOWED_HOSTS: ['other:1', { 'MonitoringConfig.allowedHosts': 'other:1' }],
};

/** Variables whose effect goes beyond the values of the module tree, with the files that test them by name. */
const TESTED_IN: Readonly<Record<string, string>> = {
  PORT: 'test/support/fleet.ts',
  WORKER_PORT: 'test/support/fleet.ts',
  ALLOWED_HOSTS: 'test/integration/api/admission.spec.ts',
  WORKER_ALLOWED_HOSTS: 'test/integration/worker/operating.spec.ts',
  CORS_HEADERS: 'test/integration/api/cross-origin.spec.ts',
  PLAYGROUND: 'test/integration/api/playground.spec.ts',
  PLAYGROUND_TOKEN: 'test/integration/api/playground.spec.ts',
  NODE_ENV: 'libs/stowage/src/worker/config.spec.ts',
  SCANNER_REQUIRED: 'libs/stowage/src/worker/config.spec.ts',
};
/** Variables that this suite tests below. */
const PROXIES = ['HTTP_PROXY', 'http_proxy', 'HTTPS_PROXY', 'https_proxy'];
const TESTED_BELOW = [
  ...PROXIES,
  ...['NO_PROXY', 'no_proxy', 'HOST', 'JWT_JWKS_URL', 'GCS_HMAC_SECRET', 'GOOGLE_APPLICATION_CREDENTIALS'],
  ...['CLAMD_ADDRESS', 'SCANNER_LABEL', 'MALWARE_HASHES'],
];

/** The value of a provider in a module tree. */
function provided<T>(module: DynamicModule, token: unknown): T {
  for (const imported of module.imports as DynamicModule[]) {
    for (const provider of imported.providers ?? []) {
      if (typeof provider === 'object' && 'useValue' in provider && provider.provide === token)
        return provider.useValue as T;
    }
  }
  throw new Error('no provider has this token');
}

describe('configuration variables', () => {
  let folder: string;
  beforeAll(() => {
    folder = mkdtempSync(path.join(os.tmpdir(), 'stowage-wiring-'));
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  const variablesIn = (classes: Readonly<Record<string, new () => object>>) =>
    Object.values(classes).flatMap((type) => [...variablesOf(type).values()]);

  describe.each([
    ['api', variablesIn(API_CONFIGURATION), apiOf, API],
    ['worker', variablesIn(WORKER_CONFIGURATION), workerOf, WORKER],
  ] as const)('%s', (_, variables, of, wires) => {
    it('belong to one class and have a test case each', () => {
      const cases = new Set([...Object.keys(wires), ...Object.keys(TESTED_IN), ...TESTED_BELOW]);
      const known = new Set(variables);
      expect(known.size).toBeGreaterThan(20);
      expect(variables).toHaveLength(known.size);
      expect(variables.filter((name) => !cases.has(name))).toEqual([]);
      expect(Object.keys(wires).filter((name) => !known.has(name))).toEqual([]);
    });

    it.each(Object.entries(wires))(
      'change only the values that depend on %s',
      async (name, [value, reached]) => {
        expect(await changesBy(of, { [name]: value })).toEqual(reached);
      },
    );

    it.each([
      [{ HTTP_PROXY: 'x' }, true],
      [{ http_proxy: 'x' }, true],
      [{ HTTPS_PROXY: 'x' }, true],
      [{ https_proxy: 'x' }, true],
      [{ HTTP_PROXY: 'x', NO_PROXY: 'storage.invalid' }, false],
      [{ HTTP_PROXY: 'x', no_proxy: 'storage.invalid' }, false],
    ])('reach storage according to the proxy settings %j', async (env, isAsked) => {
      const hosts = new Set<string | undefined>();
      const proxy = createServer((request, response) => {
        hosts.add(request.headers.host?.split(':')[0]);
        response.writeHead(404).end();
      });
      proxy.on('connect', ({ url }, socket) => {
        hosts.add(url?.split(':')[0]);
        socket.end('HTTP/1.1 502 Bad Gateway\r\n\r\n');
      });
      await once(proxy.listen(0, '127.0.0.1'), 'listening');
      const url = `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`;
      const named = Object.entries(env).map(([name, value]) => [name, value === 'x' ? url : value] as const);
      try {
        const module = await of({
          GCS_API_ENDPOINT: 'http://storage.invalid:80',
          ...Object.fromEntries(named),
        });
        const store = provided<GcsObjectStore>(module, ObjectStore);
        const reading = store.read({ bucket: 'incoming', key: 'a', version: '1' }).resume();
        await once(reading, 'close').catch(() => undefined);
        expect([...hosts]).toEqual(isAsked ? ['storage.invalid'] : []);
      } finally {
        proxy.closeAllConnections();
        proxy.close();
      }
    });
  });

  it('are listed in .env.example for the apps that read them', () => {
    const namesIn = (classes: Parameters<typeof variablesIn>[0]) => [
      ...new Set(variablesIn(classes).map((name) => name.toUpperCase())),
    ];
    const [api, worker] = [namesIn(API_CONFIGURATION), namesIn(WORKER_CONFIGURATION)];
    const example = readFileSync(path.join(ROOT, '.env.example'), 'utf8');
    const listedFor = (apps: string) => {
      const section = example.split(/^# ── /m).find((text) => text.startsWith(`${apps} ─`)) ?? '';
      return Array.from(section.matchAll(/^#?([A-Z0-9_]+)=/gm), ([, name]) => name).sort();
    };
    expect(listedFor('api and worker')).toEqual(api.filter((name) => worker.includes(name)).sort());
    expect(listedFor('api')).toEqual(api.filter((name) => !worker.includes(name)).sort());
    expect(listedFor('worker')).toEqual(worker.filter((name) => !api.includes(name)).sort());
  });

  it('are described in docs/operating.md', () => {
    const guide = readFileSync(path.join(ROOT, 'docs/operating.md'), 'utf8');
    const described = new Set(Array.from(guide.matchAll(/\b[A-Z][A-Z0-9_]+\b/g), ([name]) => name));
    const variables = [API_CONFIGURATION, WORKER_CONFIGURATION].flatMap(variablesIn);
    expect(variables.filter((name) => !described.has(name.toUpperCase()))).toEqual([]);
  });

  it.each(Object.entries(TESTED_IN))('include %s, which %s tests', (name, file) => {
    expect(readFileSync(path.join(ROOT, file), 'utf8')).toMatch(new RegExp(`\\b${name}:`));
  });

  it('replace JWT_SECRET by JWT_JWKS_URL', async () => {
    const url = 'https://keys.example/jwks';
    expect(await changesBy(apiOf, { JWT_SECRET: undefined, JWT_JWKS_URL: url })).toEqual({
      'IdentityConfig.secret': undefined,
      'IdentityConfig.jwksUrl': url,
    });
  });

  describe('the URL signing key', () => {
    const object = {
      bucket: 'content',
      key: 'a',
      contentType: 'text/plain',
      contentDisposition: 'attachment',
    };
    const at = { now: new Date('2026-01-01T00:00:00Z'), expiresInSeconds: 60 };
    const signed = async (signer: UrlSigner) => (await signer.signDownload(object, at)).url;

    it('is the HMAC key of GCS_HMAC_ACCESS_ID and GCS_HMAC_SECRET', async () => {
      const key = { accessId: 'own', secret: 'own secret' };
      const module = await apiOf({ GCS_HMAC_ACCESS_ID: key.accessId, GCS_HMAC_SECRET: key.secret });
      const expected = new GcsUrlSigner({ endpoint: NEEDED.GCS_API_ENDPOINT, key });
      expect(await signed(provided(module, UrlSigner))).toBe(await signed(expected));
    });

    it('is the key in the file of GOOGLE_APPLICATION_CREDENTIALS if no HMAC key is set', async () => {
      const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
      const privateKeyPem = privateKey.export({ type: 'pkcs8', format: 'pem' }) as string;
      const clientEmail = 'api@project.iam.gserviceaccount.com';
      const file = path.join(folder, 'key.json');
      writeFileSync(file, JSON.stringify({ client_email: clientEmail, private_key: privateKeyPem }));
      const noHmac = { GCS_HMAC_ACCESS_ID: undefined, GCS_HMAC_SECRET: undefined };
      const module = await apiOf({ ...noHmac, GOOGLE_APPLICATION_CREDENTIALS: file });
      const key = { clientEmail, privateKeyPem };
      const expected = new GcsUrlSigner({ endpoint: NEEDED.GCS_API_ENDPOINT, key });
      expect(await signed(provided(module, UrlSigner))).toBe(await signed(expected));
    });
  });

  describe('the scanner', () => {
    const scanner = (env: NodeJS.ProcessEnv) => scannerOf(readWorkerConfig({ ...NEEDED, ...env }).scanner);

    it('is clamd at CLAMD_ADDRESS, with the limit CLAMD_MAX_BYTES and the label suffix SCANNER_LABEL', async () => {
      const found = await scanner({
        CLAMD_ADDRESS: 'clamd:3310',
        CLAMD_MAX_BYTES: '77',
        SCANNER_LABEL: 'own',
      });
      expect(found).toBeInstanceOf(ClamdScanner);
      expect(found).toEqual(new ClamdScanner({ address: 'clamd:3310', maxBytes: 77, suffix: 'own' }));
    });

    it('is the list of hashes in MALWARE_HASHES if CLAMD_ADDRESS is not set', async () => {
      const hash = 'ab'.repeat(32);
      const file = path.join(folder, 'hashes');
      writeFileSync(file, `${hash}\n`);
      const found = await scanner({ MALWARE_HASHES: file });
      expect(found).toEqual(new SignatureListScanner(await readMalwareHashes(file)));
      expect((await found.identify()).label).toContain(', 1 hashes,');
    });
  });

  it('set the limits of the workers of both queues', () => {
    const limits = { WORKER_CONCURRENCY: '7', INSPECT_PROCESSES: '4', JOB_LOCK_SECONDS: '77' };
    const { processing, inspection } = readWorkerConfig({ ...NEEDED, ...limits });
    new ProcessingJobsModule(processing, inspection);
    const optionsOf = (processor: object) =>
      Reflect.getMetadata('bullmq:worker_metadata', processor) as WorkerOptions;
    expect(optionsOf(ProcessAssetProcessor)).toMatchObject({ concurrency: 7, lockDuration: 77_000 });
    expect(optionsOf(InspectAssetProcessor)).toMatchObject({ concurrency: 5, lockDuration: 77_000 });
  });

  it('make api and worker listen only on HOST', async () => {
    await using fleet = await Fleet.start({ env: { HOST: '127.0.0.2' } });
    for (const { port } of [...fleet.apis, ...fleet.workers]) {
      expect((await fetch(`http://127.0.0.2:${port}/health/live`)).status).toBe(200);
      await expect(fetch(`http://127.0.0.1:${port}/health/live`)).rejects.toThrow('fetch failed');
    }
  });
});
