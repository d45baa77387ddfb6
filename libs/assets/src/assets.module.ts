import { type DynamicModule, Global, Module } from '@nestjs/common';
import { EventsModule } from '#libs/events';
import { ASSETS_OPTIONS, type AssetsOptions } from './assets.options.js';
import { AssetJobsService } from './asset-jobs.service.js';
import { AssetRemovalService } from './asset-removal.service.js';
import { AssetsService } from './assets.service.js';
import { IncomingObjectsService } from './incoming-objects.service.js';
import { IncomingSessionsService } from './incoming-sessions.service.js';
import { AssetTransitionsService } from './asset-transitions.service.js';

/** Requires `ContentModule`, `DatabaseModule`, `QuotaModule`, and providers of the ports `ObjectStore` and `UploadSessions`. */
@Global()
@Module({})
export class AssetsModule {
  static forRoot(options: AssetsOptions): DynamicModule {
    const services = [
      AssetsService,
      AssetJobsService,
      AssetRemovalService,
      AssetTransitionsService,
      IncomingObjectsService,
      IncomingSessionsService,
    ];
    return {
      module: AssetsModule,
      imports: [EventsModule],
      providers: [{ provide: ASSETS_OPTIONS, useValue: options }, ...services],
      exports: [ASSETS_OPTIONS, ...services],
    };
  }
}
