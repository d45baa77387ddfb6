import { Module } from '@nestjs/common';
import { ContentMetrics } from './content-metrics.js';
import { ContentStore } from './content-store.js';
import { CorruptionService } from './corruption.service.js';
import { ObjectMaintenanceService } from './object-maintenance.service.js';
import { ObjectVariantsService } from './object-variants.service.js';
import { QuarantineService } from './quarantine.service.js';
import { StoredObjectsService } from './stored-objects.service.js';

const RECORDS = [ObjectMaintenanceService, ObjectVariantsService, StoredObjectsService];

/** Records of stored objects. Needs `DatabaseModule` and a provider of the port `ObjectStore`. */
@Module({ providers: RECORDS, exports: RECORDS })
export class ContentModule {}

const SERVICES = [ContentStore, CorruptionService, QuarantineService];

/** Writing and quarantining the bytes of stored objects. Needs `MetricsModule`. */
@Module({ imports: [ContentModule], providers: [ContentMetrics, ...SERVICES], exports: SERVICES })
export class ContentStoreModule {}
