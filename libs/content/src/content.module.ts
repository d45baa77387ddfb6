import { type DynamicModule, Global, Module } from '@nestjs/common';
import {
  CONTENT_OPTIONS,
  CONTENT_STORE_OPTIONS,
  type ContentOptions,
  type ContentStoreOptions,
} from './content.options.js';
import { ContentMetrics } from './content-metrics.js';
import { ContentStore } from './content-store.js';
import { CorruptionService } from './corruption.service.js';
import { ObjectMaintenanceService } from './object-maintenance.service.js';
import { ObjectVariantsService } from './object-variants.service.js';
import { QuarantineService } from './quarantine.service.js';
import { StoredObjectsService } from './stored-objects.service.js';

/** Records of stored objects. Needs `DatabaseModule` and a provider of the port `ObjectStore`. */
@Global()
@Module({})
export class ContentModule {
  static forRoot(options: ContentOptions): DynamicModule {
    const services = [ObjectMaintenanceService, ObjectVariantsService, StoredObjectsService];
    return {
      module: ContentModule,
      providers: [{ provide: CONTENT_OPTIONS, useValue: options }, ...services],
      exports: [CONTENT_OPTIONS, ...services],
    };
  }
}

/** Writing and quarantining the bytes of stored objects. Needs `ContentModule` and `MetricsModule`. */
@Module({})
export class ContentStoreModule {
  static forRoot(options: ContentStoreOptions): DynamicModule {
    const services = [ContentStore, CorruptionService, QuarantineService];
    return {
      module: ContentStoreModule,
      providers: [{ provide: CONTENT_STORE_OPTIONS, useValue: options }, ContentMetrics, ...services],
      exports: services,
    };
  }
}
