import { getQueueToken } from '@nestjs/bullmq';
import { Test, type TestingModule } from '@nestjs/testing';
import type { Queue } from 'bullmq';
import { LoggerModule } from 'nestjs-pino';
import { AssetsConfig, AssetTasksModule } from '#libs/assets';
import { ContentConfig, ContentTasksModule } from '#libs/content';
import { DatabaseConfig, DatabaseModule } from '#libs/database';
import { INSPECT_QUEUE, PROCESS_QUEUE, QueueConfig, SCHEMA } from '#libs/queue';
import { TasksConfig, TasksModule } from '#libs/lifecycle';
import { QuotaConfig } from '#libs/quota';
import { ConfigurationModule, configured, HealthModule, MetricsModule } from '#libs/runtime';
import { StorageModule } from '#libs/storage';
import { GcsObjectStore, GcsUploadSessions } from '#libs/storage/gcs';
import { UploadTasksModule } from '#libs/upload';
import { NAMES, PROJECT, SESSION_KEY } from '../../../libs/testing/src/emulators.js';
import { runTask, type TestRun } from '../../../libs/testing/src/run-task.js';
import type { Fleet } from '../../support/fleet.js';
import { runUploadTasks } from '../../support/upload-tasks.js';
import { rows } from '../uploads.js';

/**
 * Lets time pass for a fleet without waiting: moves deadlines in the database and runs tasks at once, in this
 * process, beside those of the workers.
 */
export class PassingTime implements AsyncDisposable {
  static async of(fleet: Fleet): Promise<PassingTime> {
    const gcs = { projectId: PROJECT, endpoint: fleet.emulators.gcs.url };
    const module = await Test.createTestingModule({
      imports: [
        ConfigurationModule.forRoot({
          database: configured(DatabaseConfig, { url: fleet.database.url, poolSize: 4 }),
          queue: configured(QueueConfig, { poolSize: 2 }),
          quota: configured(QuotaConfig, { limitBytes: 2 ** 40, limitAssets: 2 ** 20 }),
          content: configured(ContentConfig, { contentBucket: NAMES.contentBucket }),
          tasks: configured(TasksConfig, { actionsPerSecond: Infinity }),
          assets: configured(AssetsConfig, {
            incomingBucket: NAMES.incomingBucket,
            uploadSessionKeys: [SESSION_KEY],
          }),
        }),
        LoggerModule.forRoot({ pinoHttp: { level: 'silent' }, forRoutes: [] }),
        MetricsModule,
        HealthModule.forRoot(),
        DatabaseModule,
        StorageModule.forRoot({
          store: new GcsObjectStore(gcs),
          sessions: new GcsUploadSessions(gcs),
          probedBucket: NAMES.incomingBucket,
        }),
        AssetTasksModule,
        ContentTasksModule,
        TasksModule,
        UploadTasksModule,
      ],
    }).compile();
    return new PassingTime(fleet, await module.init());
  }

  private readonly queues = [PROCESS_QUEUE, INSPECT_QUEUE].map((name) =>
    this.module.get<Queue>(getQueueToken(name), { strict: false }),
  );

  private constructor(
    private readonly fleet: Fleet,
    private readonly module: TestingModule,
  ) {}

  /** Makes all pending work on these assets due now. */
  async pass(ids: readonly string[]): Promise<void> {
    await rows(
      this.fleet,
      `update media_assets set next_check_at = now()
       where asset_id = any($1) and (status in ('PENDING', 'PROCESSING') or incoming_present)`,
      [ids],
    );
    await runUploadTasks(this);
    await this.runTask('remove-incoming');
    await Promise.all(this.queues.map((queue) => queue.promoteJobs()));
  }

  /** Lets the upload deadlines of these assets pass. */
  async passDeadlines(ids: readonly string[]): Promise<void> {
    await rows(this.fleet, 'update media_assets set upload_deadline_at = now() where asset_id = any($1)', [
      ids,
    ]);
  }

  /** Expires the locks of a dead worker: another worker takes its jobs in its next check. */
  async passLocks(): Promise<void> {
    await rows(
      this.fleet,
      `update ${SCHEMA}.job set locked_until_ms = 0, stalled_marked = true where state = 'active'`,
    );
  }

  /** Expires all pins and collects unreferenced stored objects. */
  async passPins(): Promise<void> {
    await rows(this.fleet, 'update stored_objects set pinned_until = now() where pinned_until is not null');
    await this.runTask('remove-unreferenced');
  }

  /** Runs a task here; see {@link runTask}. */
  runTask(name: string, run?: TestRun) {
    return runTask(this.module, name, run);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.module.close();
  }
}
