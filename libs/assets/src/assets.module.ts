import { type DynamicModule, Global, Module } from '@nestjs/common';
import { EventsModule } from '#libs/events';
import { ASSETS_OPTIONS, type AssetsOptions } from './assets.options.js';
import { AssetJobs } from './asset-jobs.service.js';
import { AssetRemoval } from './asset-removal.service.js';
import { Assets } from './assets.service.js';
import { IncomingObjects } from './incoming-objects.service.js';
import { IncomingSessions } from './incoming-sessions.service.js';
import { ObjectUpkeep } from './object-upkeep.service.js';
import { ObjectVariants } from './object-variants.service.js';
import { Quarantine } from './quarantine.service.js';
import { StoredObjects } from './stored-objects.service.js';
import { AssetTransitions } from './transitions.service.js';

/** Needs `DatabaseModule`, `QuotaModule` and providers of the ports `ObjectStore` and `UploadSessions`, which the app brings. */
@Global()
@Module({})
export class AssetsModule {
  static forRoot(options: AssetsOptions): DynamicModule {
    const services = [
      Assets,
      AssetJobs,
      AssetRemoval,
      AssetTransitions,
      IncomingObjects,
      IncomingSessions,
      ObjectUpkeep,
      ObjectVariants,
      Quarantine,
      StoredObjects,
    ];
    return {
      module: AssetsModule,
      imports: [EventsModule],
      providers: [{ provide: ASSETS_OPTIONS, useValue: options }, ...services],
      exports: [ASSETS_OPTIONS, ...services],
    };
  }
}
