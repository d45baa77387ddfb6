import { Module } from '@nestjs/common';
import { AccessModule } from '#libs/access';
import { ContentModule } from '#libs/content';
import { EventsModule } from '#libs/events';
import { QueueModule } from '#libs/queue';
import { QuotaModule } from '#libs/quota';
import { AdminAssetsRepository } from './admin-assets.repository.js';
import { AssetBatchRemovalService } from './asset-batch-removal.service.js';
import { AssetGrantsService } from './asset-grants.service.js';
import { AssetJobsService } from './asset-jobs.service.js';
import { AssetListsRepository } from './asset-lists.repository.js';
import { AssetRemovalService } from './asset-removal.service.js';
import { AssetUpdatesRepository } from './asset-updates.repository.js';
import { AssetUpdatesService } from './asset-updates.service.js';
import { AssetStatesRepository } from './asset-states.repository.js';
import { AssetTransferService } from './asset-transfer.service.js';
import { AssetsRepository } from './assets.repository.js';
import { AssetsService } from './assets.service.js';
import { DueAssetsRepository } from './due-assets.repository.js';
import { DueAssetsService } from './due-assets.service.js';
import { IncomingTasks } from './incoming-tasks.js';
import { IncomingObjectsService } from './incoming-objects.service.js';
import { IncomingSessionsService } from './incoming-sessions.service.js';
import { IncomingRepository } from './incoming.repository.js';
import { PurgeTasks } from './purge-tasks.js';
import { PurgeableAssetsRepository } from './purgeable-assets.repository.js';
import { AssetTransitionsService } from './asset-transitions.service.js';

const REPOSITORIES = [
  AssetsRepository,
  AssetListsRepository,
  AssetStatesRepository,
  AssetUpdatesRepository,
  DueAssetsRepository,
  IncomingRepository,
];
const SERVICES = [
  AssetsService,
  AdminAssetsRepository,
  AssetBatchRemovalService,
  AssetGrantsService,
  AssetJobsService,
  AssetRemovalService,
  AssetTransferService,
  AssetTransitionsService,
  AssetUpdatesService,
  DueAssetsService,
  IncomingObjectsService,
  IncomingSessionsService,
];

/** Requires `DatabaseModule` and providers of the ports `ObjectStore` and `UploadSessions`. */
@Module({
  imports: [AccessModule, ContentModule, EventsModule, QueueModule, QuotaModule],
  providers: [...REPOSITORIES, ...SERVICES],
  exports: SERVICES,
})
export class AssetsModule {}

/** The scheduled tasks of assets, for the worker. Requires what `AssetsModule` requires. */
@Module({ imports: [AssetsModule], providers: [IncomingTasks, PurgeableAssetsRepository, PurgeTasks] })
export class AssetTasksModule {}
