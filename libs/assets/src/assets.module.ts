import { Module } from '@nestjs/common';
import { ContentModule } from '#libs/content';
import { EventsModule } from '#libs/events';
import { QueueModule } from '#libs/queue';
import { QuotaModule } from '#libs/quota';
import { AssetJobsService } from './asset-jobs.service.js';
import { AssetRemovalService } from './asset-removal.service.js';
import { AssetsService } from './assets.service.js';
import { IncomingObjectsService } from './incoming-objects.service.js';
import { IncomingSessionsService } from './incoming-sessions.service.js';
import { AssetTransitionsService } from './asset-transitions.service.js';

const SERVICES = [
  AssetsService,
  AssetJobsService,
  AssetRemovalService,
  AssetTransitionsService,
  IncomingObjectsService,
  IncomingSessionsService,
];

/** Requires `DatabaseModule` and providers of the ports `ObjectStore` and `UploadSessions`. */
@Module({
  imports: [ContentModule, EventsModule, QueueModule, QuotaModule],
  providers: SERVICES,
  exports: SERVICES,
})
export class AssetsModule {}
