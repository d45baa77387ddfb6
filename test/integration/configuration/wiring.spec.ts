import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import os from 'node:os';
import path from 'node:path';
import { generateKeyPairSync } from 'node:crypto';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import type { DynamicModule } from '@nestjs/common';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { getMetadataStorage } from 'class-validator';
import { AppModule as ApiModule } from '../../../apps/api/src/app.module.js';
import { ApiEnvironment, readConfig as readApiConfig } from '../../../apps/api/src/config.js';
import { AppModule as WorkerModule } from '../../../apps/worker/src/app.module.js';
import { readConfig as readWorkerConfig, WorkerEnvironment } from '../../../apps/worker/src/config.js';
import { scannerOf } from '../../../apps/worker/src/scanner.js';
import { GcsObjectStore, GcsUrlSigner } from '#libs/storage/gcs';
import { ClamdScanner, readMalwareHashes, SignatureListScanner } from '#libs/scanner';
import { ObjectStore, UrlSigner } from '#libs/storage';
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

const apiOf = (env: NodeJS.ProcessEnv) => ApiModule.forRoot(readApiConfig({ ...NEEDED, ...env }));
async function workerOf(env: NodeJS.ProcessEnv) {
  const config = readWorkerConfig({ ...NEEDED, ...env });
  return WorkerModule.forRoot(config, await scannerOf(config));
}

type ModuleOf = (env: NodeJS.ProcessEnv) => DynamicModule | Promise<DynamicModule>;
/** Values that clients of vendors derive from their options. */
const VENDORS = /^BullModule\.|\.(storage|pubsub|agents)\./;

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

const STORAGE = 'StorageModule';
const HOST_OF_STORAGE = {
  [`${STORAGE}.ObjectStore.client.host`]: 'other',
  [`${STORAGE}.UploadSessions.client.host`]: 'other',
  [`${STORAGE}.UploadSessions.origin`]: 'http://other:2',
  [`${STORAGE}.UploadSessions.publicOrigin`]: 'http://other:2',
};

const BOTH: Readonly<Record<string, Wire>> = {
  DATABASE_URL: [
    'postgresql://other/x',
    {
      'DatabaseModule.DATABASE_OPTIONS.url': 'postgresql://other/x',
      'QueueModule.QUEUE_OPTIONS.databaseUrl': 'postgresql://other/x',
    },
  ],
  CLOCK_OFFSET_LIMIT_SECONDS: ['77', { 'DatabaseModule.DATABASE_OPTIONS.clockLimitSeconds': 77 }],
  DATABASE_POOL: ['7', { 'DatabaseModule.DATABASE_OPTIONS.poolSize': 7 }],
  REDIS_URL: ['redis://other:1', { 'QueueModule.QUEUE_OPTIONS.redisUrl': 'redis://other:1' }],
  GOOGLE_CLOUD_PROJECT: ['other', { [`${STORAGE}.ObjectEvents.options.projectId`]: 'other' }],
  CONTENT_BUCKET: ['other', { 'ContentModule.CONTENT_OPTIONS.contentBucket': 'other' }],
  UPLOAD_SESSION_KEYS: ['2'.repeat(64), { 'AssetsModule.ASSETS_OPTIONS.uploadSessionKeys': '2'.repeat(64) }],
  DEDUPE_SCOPE: ['owner', { 'ContentModule.CONTENT_OPTIONS.dedupeScope': 'owner' }],
  ALLOWED_TYPES: ['image/png', { 'AssetsModule.ASSETS_OPTIONS.allowedTypes': 'image/png' }],
  QUOTA_BYTES: ['77', { 'QuotaModule.QUOTA_OPTIONS.limitBytes': 77 }],
  QUOTA_ASSETS: ['77', { 'QuotaModule.QUOTA_OPTIONS.limitAssets': 77 }],
  LOG_LEVEL: ['fatal', { 'LoggerModule.pino-params.pinoHttp.level': 'fatal' }],
  PUBSUB_SUBSCRIPTION: ['other', { [`${STORAGE}.ObjectEvents.options.subscription`]: 'other' }],
  PUBSUB_EMULATOR_HOST: ['other:4', { [`${STORAGE}.ObjectEvents.options.emulator`]: 'other:4' }],
};

const API: Readonly<Record<string, Wire>> = {
  ...BOTH,
  GCS_API_ENDPOINT: [
    'http://other:2',
    {
      ...HOST_OF_STORAGE,
      [`${STORAGE}.UrlSigner.endpoint`]: 'http://other:2',
      [`${STORAGE}.UrlSigner.host`]: 'host,other',
    },
  ],
  GCS_PUBLIC_ENDPOINT: [
    'http://public:5',
    {
      [`${STORAGE}.UploadSessions.publicOrigin`]: 'http://public:5',
      [`${STORAGE}.UrlSigner.endpoint`]: 'http://public:5',
      [`${STORAGE}.UrlSigner.host`]: 'host,public',
    },
  ],
  INCOMING_BUCKET: [
    'other',
    {
      [`${STORAGE}.ObjectEvents.options.incomingBucket`]: 'other',
      [`${STORAGE}.ObjectEventReader.bucket`]: 'other',
      [`${STORAGE}.PROBED_BUCKET`]: 'other',
      'AssetsModule.ASSETS_OPTIONS.incomingBucket': 'other',
    },
  ],
  JWT_SECRET: ['o'.repeat(32), { 'IdentityModule.IDENTITY_OPTIONS.key.secret': 'o'.repeat(32) }],
  JWT_ISSUER: ['other', { 'IdentityModule.IDENTITY_OPTIONS.issuer': 'other' }],
  JWT_AUDIENCE: ['other', { 'IdentityModule.IDENTITY_OPTIONS.audience': 'other' }],
  JWT_GROUPS_POINTER: ['/other', { 'IdentityModule.IDENTITY_OPTIONS.groupsPointer': '/other' }],
  JWT_SCOPES_POINTER: ['/other', { 'IdentityModule.IDENTITY_OPTIONS.scopesPointer': '/other' }],
  GCS_HMAC_ACCESS_ID: ['other', { [`${STORAGE}.UrlSigner.key.accessId`]: 'other' }],
  MAX_UPLOAD_BYTES: ['77', { 'UploadModule.UPLOAD_OPTIONS.maxUploadBytes': 77 }],
  UPLOAD_URL_SECONDS: ['77', { 'UploadModule.UPLOAD_OPTIONS.urlSeconds': 77 }],
  DOWNLOAD_URL_MAX_SECONDS: ['7777', { 'DeliveryModule.DELIVERY_OPTIONS.maxSeconds': 7777 }],
  RATE_LIMIT_PER_MINUTE: ['77', { 'ApiGraphQLModule.RateLimiter.perMinute': 77 }],
  SUBSCRIPTIONS_PER_OWNER: ['77', { 'SubscriptionsModule.SUBSCRIPTION_OPTIONS.perOwner.subscriptions': 77 }],
  SUBSCRIPTION_BYTES_PER_OWNER: [
    '777777',
    { 'SubscriptionsModule.SUBSCRIPTION_OPTIONS.perOwner.unsentBytes': 777777 },
  ],
  SUBSCRIPTION_WORK_PER_SECOND: [
    '77',
    {
      'SubscriptionsModule.SUBSCRIPTION_OPTIONS.rateLimiter.perSecond': 77,
      'SubscriptionsModule.SubscriptionRateLimiter.perSecond': 77,
    },
  ],
  CORS_ORIGINS: ['https://other.example', { 'UploadModule.UPLOAD_OPTIONS.origins': 'https://other.example' }],
};

const WORKER: Readonly<Record<string, Wire>> = {
  ...BOTH,
  GCS_API_ENDPOINT: ['http://other:2', HOST_OF_STORAGE],
  INCOMING_BUCKET: [
    'other',
    {
      [`${STORAGE}.ObjectEvents.options.incomingBucket`]: 'other',
      [`${STORAGE}.PROBED_BUCKET`]: 'other',
      'AssetsModule.ASSETS_OPTIONS.incomingBucket': 'other',
    },
  ],
  PUBSUB_DEAD_LETTER_SUBSCRIPTION: [
    'other',
    { [`${STORAGE}.ObjectEvents.options.deadLetterSubscription`]: 'other' },
  ],
  QUARANTINE_BUCKET: ['other', { 'ContentStoreModule.CONTENT_STORE_OPTIONS.quarantineBucket': 'other' }],
  SPOOL_DIR: [
    '/other',
    {
      'InspectionModule.INSPECTION_OPTIONS.spoolFolder': '/other',
      'ProcessingModule.PIPELINE_OPTIONS.spoolFolder': '/other',
    },
  ],
  INSPECT_PROCESSES: [
    '7',
    {
      'InspectionModule.INSPECTION_OPTIONS.processes': 7,
      'ProcessingModule.PIPELINE_OPTIONS.inspections': 8,
    },
  ],
  INSPECT_SECONDS: ['77', { 'InspectionModule.INSPECTION_OPTIONS.seconds': 77 }],
  INSPECT_MEMORY: ['777', { 'InspectionModule.INSPECTION_OPTIONS.memoryBytes': 777 }],
  MAX_PIXELS: ['77', { 'InspectionModule.INSPECTION_OPTIONS.maxPixels': 77 }],
  MAX_FRAMES: ['77', { 'InspectionModule.INSPECTION_OPTIONS.maxFrames': 77 }],
  CLAMD_MAX_BYTES: ['77', { 'InspectionModule.INSPECTION_OPTIONS.scannableBytes': 77 }],
  RESCAN_BYTES: ['77', { 'LifecycleModule.LIFECYCLE_OPTIONS.rescanBytesPerSecond': 77 }],
  SPOOL_BYTES: ['77', { 'ProcessingModule.PIPELINE_OPTIONS.spoolBytes': 77 }],
  ADMIT_UNSCANNABLE: ['image/png', { 'ProcessingModule.PIPELINE_OPTIONS.admitUnscannable': 'image/png' }],
  VARIANT_PROFILES: [
    'other=webp:77:50, large=webp:1280:80',
    {
      'ProcessingModule.PIPELINE_OPTIONS.profiles.0.name': 'other',
      'ContentStoreModule.CONTENT_STORE_OPTIONS.profiles.0.name': 'other',
      'ProcessingModule.PIPELINE_OPTIONS.profiles.0.maxSide': 77,
      'ContentStoreModule.CONTENT_STORE_OPTIONS.profiles.0.maxSide': 77,
      'ProcessingModule.PIPELINE_OPTIONS.profiles.0.quality': 50,
      'ContentStoreModule.CONTENT_STORE_OPTIONS.profiles.0.quality': 50,
    },
  ],
  WORKER_CONCURRENCY: ['7', { 'ProcessingModule.PIPELINE_OPTIONS.concurrency': 7 }],
  JOB_LOCK_SECONDS: ['77', { 'ProcessingModule.PIPELINE_OPTIONS.lockSeconds': 77 }],
};

/** Variables whose effect is not a value of the module tree, with the files that test them by name. */
const TESTED_IN: Readonly<Record<string, string>> = {
  PORT: 'test/support/fleet.ts',
  WORKER_PORT: 'test/support/fleet.ts',
  ALLOWED_HOSTS: 'test/integration/api/admission.spec.ts',
  WORKER_ALLOWED_HOSTS: 'test/integration/worker/operating.spec.ts',
  CORS_HEADERS: 'test/integration/api/cross-origin.spec.ts',
  PLAYGROUND: 'test/integration/api/playground.spec.ts',
  PLAYGROUND_TOKEN: 'test/integration/api/playground.spec.ts',
  SCANNER_REQUIRED: 'apps/worker/src/config.spec.ts',
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

  describe.each([
    ['api', ApiEnvironment, apiOf, API],
    ['worker', WorkerEnvironment, workerOf, WORKER],
  ] as const)('%s', (_, environment, of, wires) => {
    const variables = [
      ...new Set(
        getMetadataStorage()
          .getTargetValidationMetadatas(environment, '', false, false)
          .map(({ propertyName }) => propertyName),
      ),
    ];

    it('have a test case each', () => {
      const cases = new Set([...Object.keys(wires), ...Object.keys(TESTED_IN), ...TESTED_BELOW]);
      expect(variables.length).toBeGreaterThan(20);
      expect(variables.filter((name) => !cases.has(name))).toEqual([]);
      const known = new Set(variables);
      expect(Object.keys(wires).filter((name) => !known.has(name))).toEqual([]);
    });

    it('are listed in .env.example', () => {
      const example = readFileSync(path.join(ROOT, '.env.example'), 'utf8');
      const listed = new Set(Array.from(example.matchAll(/^#?([A-Z0-9_]+)=/gm), ([, name]) => name));
      expect(variables.filter((name) => !listed.has(name.toUpperCase()))).toEqual([]);
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

  it.each(Object.entries(TESTED_IN))('include %s, which %s tests', (name, file) => {
    expect(readFileSync(path.join(ROOT, file), 'utf8')).toMatch(new RegExp(`\\b${name}:`));
  });

  it('replace JWT_SECRET by JWT_JWKS_URL', async () => {
    const url = 'https://keys.example/jwks';
    expect(await changesBy(apiOf, { JWT_SECRET: undefined, JWT_JWKS_URL: url })).toEqual({
      'IdentityModule.IDENTITY_OPTIONS.key.secret': undefined,
      'IdentityModule.IDENTITY_OPTIONS.key.jwksUrl': url,
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
      const module = apiOf({ GCS_HMAC_ACCESS_ID: key.accessId, GCS_HMAC_SECRET: key.secret });
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
      const module = apiOf({ ...noHmac, GOOGLE_APPLICATION_CREDENTIALS: file });
      const key = { clientEmail, privateKeyPem };
      const expected = new GcsUrlSigner({ endpoint: NEEDED.GCS_API_ENDPOINT, key });
      expect(await signed(provided(module, UrlSigner))).toBe(await signed(expected));
    });
  });

  describe('the scanner', () => {
    const scanner = (env: NodeJS.ProcessEnv) => scannerOf(readWorkerConfig({ ...NEEDED, ...env }));

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

  it('make api and worker listen only on HOST', async () => {
    await using fleet = await Fleet.start({ env: { HOST: '127.0.0.2' } });
    for (const { port } of [...fleet.apis, ...fleet.workers]) {
      expect((await fetch(`http://127.0.0.2:${port}/health/live`)).status).toBe(200);
      await expect(fetch(`http://127.0.0.1:${port}/health/live`)).rejects.toThrow('fetch failed');
    }
  });
});
