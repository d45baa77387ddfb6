import { createHash } from 'node:crypto';
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { getQueueToken } from '@nestjs/bullmq';
import { Test, type TestingModule } from '@nestjs/testing';
import type { Queue } from 'bullmq';
import { LoggerModule } from 'nestjs-pino';
import {
  AssetRemovalService,
  AssetsConfig,
  AssetsService,
  AssetTransitionsService,
  IncomingObjectsService,
} from '#libs/assets';
import {
  CollectionService,
  ContentConfig,
  ContentStoreConfig,
  QuarantineService,
  StoredObjectsRepository,
} from '#libs/content';
import { type BatcherOptions, Database, DatabaseConfig } from '#libs/database';
import { DeliveryConfig, DeliveryModule, DownloadUrlsService } from '#libs/delivery';
import {
  type Actor,
  type AssetReceived,
  DEFAULT_PROFILES,
  parseProfiles,
  type VariantProfile,
} from '#libs/domain';
import { EventConsumersModule, EventConsumersService, EventDispatcher, EventsConfig } from '#libs/events';
import { InspectionConfig, Inspector } from '#libs/inspection';
import { DeadLettersService, QueueConfig, QueueService, PROCESS_QUEUE } from '#libs/queue';
import { LifecycleModule, TasksConfig } from '#libs/lifecycle';
import {
  InfectedContentService,
  ProcessingConfig,
  ProcessingService,
  VariantRebuildService,
  RereadService,
  RescanService,
  FailedAssetRetryService,
  FailedAssetRetryModule,
} from '#libs/processing';
import { QuotaConfig, QuotaService } from '#libs/quota';
import { configured, readConfiguration } from '#libs/runtime';
import { ScannerModule } from '#libs/scanner';
import { ObjectStore, type SignedRequest, UploadSessions } from '#libs/storage';
import { GcsObjectStore, GcsUploadSessions, GcsUrlSigner } from '#libs/storage/gcs';
import { configurationOf, type Feature, foundation, modulesOf, profilesOf } from '#libs/stowage';
import {
  UploadCompletion,
  UploadConfig,
  UploadModule,
  type UploadRequest,
  UploadService,
} from '#libs/upload';
import { Emulators, HMAC_KEY, PROJECT, SESSION_KEY } from './emulators.js';
import { createTestDatabase, type TestDatabase } from './test-database.js';
import { runTask, type TestRun } from './run-task.js';
import { ScriptedScanner } from './scripted-scanner.js';
import { LIMIT_MS } from './until.js';

interface WorldOptions {
  readonly quotaBytes?: number;
  readonly quotaAssets?: number;
  readonly dedupeScope?: 'global' | 'owner';
  readonly allowedTypes?: string[];
  readonly admitUnscannable?: string[];
  readonly profiles?: string[];
  readonly spoolBytes?: number;
  readonly batches?: BatcherOptions;
  /** Redis URL for the queue; default: PostgreSQL. */
  readonly redisUrl?: string;
  /** Wraps the real object store, for example to make it fail. */
  readonly around?: (store: ObjectStore) => ObjectStore;
  /** Wraps the real upload sessions. */
  readonly aroundSessions?: (sessions: UploadSessions) => UploadSessions;
  /** Default: one key. */
  readonly sessionKeys?: string[];
  /** Time limit of one inspection in seconds; default: 30. */
  readonly inspectSeconds?: number;
  /** Modules with readers of the test. */
  readonly readers?: readonly string[];
  /** Features of which all modules are loaded, with their default configuration. */
  readonly features?: readonly Feature[];
}

export const INCOMING = 'incoming';
export const CONTENT = 'content';
export const QUARANTINE = 'quarantine';
/** Origin whose pages may use upload sessions. */
export const PAGE = 'https://app.example';

export const sha256 = (bytes: Buffer | string) => createHash('sha256').update(bytes).digest('hex');

/** Upload request that declares these bytes. */
export const requestFor = (bytes: Buffer | string, more: Partial<UploadRequest> = {}): UploadRequest => ({
  filename: 'file.txt',
  mimeType: 'text/plain',
  sizeBytes: Buffer.byteLength(bytes),
  checksumSha256: sha256(bytes),
  ...more,
});

/** A caller, by default with owner id 42. */
export const actor = (ownerId = 42n, more: Partial<Actor> = {}): Actor => ({
  ownerId,
  groups: [],
  isAdmin: false,
  ...more,
});

/**
 * All services over a real PostgreSQL, a real queue and the storage emulator. There is no HTTP server, subscriber or queue
 * worker: the test itself delivers events and runs jobs.
 */
export class World implements AsyncDisposable {
  static async start(options: WorldOptions = {}): Promise<World> {
    await using resources = new AsyncDisposableStack();
    const scanner = new ScriptedScanner();
    const { batches, features = [] } = options;
    const profiles = profilesOf(parseProfiles(options.profiles ?? DEFAULT_PROFILES), features);
    const spoolFolder = resources.adopt(await mkdtemp(path.join(tmpdir(), 'stowage-spool-')), (folder) =>
      rm(folder, { recursive: true, force: true }),
    );
    // The processes that inspect files run as other users.
    await chmod(spoolFolder, 0o711);
    const database = resources.adopt(await createTestDatabase(), (database) => database.drop());
    const emulators = resources.use(await Emulators.start());
    for (const bucket of [INCOMING, CONTENT, QUARANTINE]) await emulators.client.createBucket(bucket);
    const real = new GcsObjectStore({ projectId: PROJECT, endpoint: emulators.gcs.url });
    const realSessions = new GcsUploadSessions({ projectId: PROJECT, endpoint: emulators.gcs.url });
    const config = {
      ...readConfiguration(configurationOf(features), {}),
      database: configured(DatabaseConfig, { url: database.url }),
      queue: configured(QueueConfig, { redisUrl: options.redisUrl }),
      quota: configured(QuotaConfig, {
        limitBytes: options.quotaBytes ?? 2 ** 30,
        limitAssets: options.quotaAssets,
      }),
      content: configured(ContentConfig, { contentBucket: CONTENT, dedupeScope: options.dedupeScope }),
      contentStore: configured(ContentStoreConfig, {
        quarantineBucket: QUARANTINE,
        incomingBucket: INCOMING,
        profiles,
      }),
      assets: configured(AssetsConfig, {
        incomingBucket: INCOMING,
        allowedTypes: options.allowedTypes,
        uploadSessionKeys: options.sessionKeys ?? [SESSION_KEY],
        claimBatches: batches,
      }),
      upload: configured(UploadConfig, { maxUploadBytes: 2 ** 30, origins: [PAGE], batches }),
      delivery: new DeliveryConfig(),
      inspection: configured(InspectionConfig, {
        processes: 1,
        seconds: options.inspectSeconds ?? 30,
        spoolFolder,
        readers: options.readers,
      }),
      processing: configured(ProcessingConfig, {
        spoolBytes: options.spoolBytes ?? 2 ** 30,
        admitUnscannable: options.admitUnscannable,
        rescanBytesPerSecond: 2 ** 30,
      }),
      events: new EventsConfig(),
      tasks: configured(TasksConfig, { actionsPerSecond: Infinity }),
    };
    const storage = {
      store: options.around?.(real) ?? real,
      sessions: options.aroundSessions?.(realSessions) ?? realSessions,
      probedBucket: INCOMING,
      signer: new GcsUrlSigner({ endpoint: emulators.gcs.url, key: HMAC_KEY }),
    };
    const testing = Test.createTestingModule({
      imports: [
        LoggerModule.forRoot({ pinoHttp: { level: 'silent' }, forRoutes: [] }),
        ...foundation(config, storage, features),
        ScannerModule.forRoot(scanner),
        UploadModule,
        DeliveryModule,
        FailedAssetRetryModule,
        LifecycleModule,
        EventConsumersModule,
        ...(await modulesOf(features, 'api')),
        ...(await modulesOf(features, 'worker')),
      ],
    });
    const module = resources.adopt(await testing.compile(), (module) => module.close());
    const consumers = module.get(EventConsumersService);
    await consumers.backfill(await consumers.register());
    return new World(module, emulators, database, scanner, spoolFolder, profiles, resources.move());
  }

  readonly database = this.module.get(Database);
  readonly uploads = this.module.get(UploadService);
  readonly completion = this.module.get(UploadCompletion, { strict: false });
  readonly processing = this.module.get(ProcessingService);
  readonly failedAssetRetry = this.module.get(FailedAssetRetryService);
  readonly deadLetters = this.module.get(DeadLettersService);
  readonly assets = this.module.get(AssetsService);
  readonly transitions = this.module.get(AssetTransitionsService);
  readonly incoming = this.module.get(IncomingObjectsService);
  readonly quotas = this.module.get(QuotaService);
  readonly collection = this.module.get(CollectionService);
  readonly stored = this.module.get(StoredObjectsRepository);
  readonly urls = this.module.get(DownloadUrlsService);
  readonly removal = this.module.get(AssetRemovalService);
  readonly store = this.module.get(ObjectStore);
  readonly sessions = this.module.get(UploadSessions);
  readonly quarantine = this.module.get(QuarantineService, { strict: false });
  readonly infectedContent = this.module.get(InfectedContentService);
  readonly rescan = this.module.get(RescanService);
  readonly variantRebuild = this.module.get(VariantRebuildService);
  readonly reread = this.module.get(RereadService);
  readonly inspector = this.module.get(Inspector);
  readonly jobs = this.module.get(QueueService);
  /** Queue of the jobs, which no worker processes here. */
  readonly queue = this.module.get<Queue<AssetReceived>>(getQueueToken(PROCESS_QUEUE));

  private constructor(
    readonly module: TestingModule,
    readonly emulators: Emulators,
    readonly testDatabase: TestDatabase,
    /** Finds all content clean unless a test sets another verdict. */
    readonly scanner: ScriptedScanner,
    readonly spoolFolder: string,
    /** The profiles that the pipeline uses, which a test may change. */
    readonly profiles: VariantProfile[],
    private readonly resources: AsyncDisposableStack,
  ) {}

  /** Requests an upload of these bytes. */
  async request(bytes: Buffer | string, more: Partial<UploadRequest> = {}, by = actor()) {
    const { asset, ticket } = await this.uploads.request(by, requestFor(bytes, more), 'test-request');
    return { id: asset.id, asset, ticket };
  }

  /** Sends bytes as the ticket says and returns the HTTP status. */
  async put(ticket: SignedRequest | null, bytes: Buffer | string): Promise<number> {
    if (ticket === null) throw new Error('the ticket is missing');
    const headers = Object.fromEntries(ticket.headers.map(({ name, value }) => [name, value]));
    const response = await fetch(ticket.url, {
      method: ticket.httpMethod,
      headers,
      body: Buffer.from(bytes),
      signal: AbortSignal.timeout(LIMIT_MS),
    });
    await response.arrayBuffer();
    return response.status;
  }

  /** Uploads bytes and claims them, so that the asset is ready to be processed. */
  async received(bytes: Buffer | string, more: Partial<UploadRequest> = {}, by = actor(), sent = bytes) {
    const { id, ticket } = await this.request(bytes, more, by);
    const status = await this.put(ticket, sent);
    if (status !== 200) throw new Error(`PUT answered ${status}`);
    await this.completion.checkObject(id);
    return { id, job: await this.job(id) };
  }

  /** Returns the job that the queue would have for the asset in its present state. */
  async job(assetId: string): Promise<AssetReceived> {
    const asset = await this.asset(assetId);
    return {
      assetId,
      generation: asset.claimedGeneration ?? '',
      attempt: asset.attempt,
      requestId: asset.requestId,
    };
  }

  process(job: AssetReceived, signal = new AbortController().signal): Promise<void> {
    return this.processing.process(job, signal);
  }

  /** Runs a task here; see {@link runTask}. */
  runTask(name: string, run?: TestRun) {
    return runTask(this.module, name, run);
  }

  /** Delivers all events that are due to the consumers of the features. */
  async deliverEvents(): Promise<void> {
    await this.module.get(EventDispatcher).deliverDue();
  }

  /** Uploads bytes and processes them. */
  async upload(bytes: Buffer | string, more: Partial<UploadRequest> = {}, by = actor()) {
    const { id, job } = await this.received(bytes, more, by);
    await this.process(job);
    return this.asset(id);
  }

  async asset(id: string) {
    const asset = await this.assets.findWithoutAccessCheck(id);
    if (asset === null) throw new Error('no such asset');
    return asset;
  }

  /** Names of the objects in a bucket. */
  async objects(bucket: string): Promise<string[]> {
    const [files] = await this.emulators.client.bucket(bucket).getFiles();
    return files.map(({ name }) => name);
  }

  storedObjects() {
    return this.database.prisma.storedObject.findMany({ include: { copies: true }, orderBy: { id: 'asc' } });
  }

  /** Types of the events so far, in order. */
  async events(assetId?: string): Promise<string[]> {
    const events = await this.database.prisma.domainEvent.findMany({
      where: { assetId },
      orderBy: { id: 'asc' },
    });
    return events.map(({ type }) => type);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.resources.disposeAsync();
  }
}
