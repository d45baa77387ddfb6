import { Module } from '@nestjs/common';
import { CollectionService } from './collection.service.js';
import { ContentMetrics } from './content-metrics.js';
import { ContentStore } from './content-store.js';
import { CorruptionService } from './corruption.service.js';
import { FeaturePropertiesRepository } from './feature-properties.repository.js';
import { FindingRetentionService } from './finding-retention.service.js';
import { InstallationService } from './installation.service.js';
import { IntegrityFindingsService } from './integrity-findings.service.js';
import { ObjectMaintenanceRepository } from './object-maintenance.repository.js';
import { ObjectVariantsRepository } from './object-variants.repository.js';
import { ObjectVerificationRepository } from './object-verification.repository.js';
import { ObjectVerificationService } from './object-verification.service.js';
import { ObjectTasks } from './object-tasks.js';
import { QuarantineService } from './quarantine.service.js';
import { ScopeCopiesService } from './scope-copies.service.js';
import { StoredObjectsRepository } from './stored-objects.repository.js';
import { VerificationMetrics } from './verification-metrics.js';
import { VerificationQueueRepository } from './verification-queue.repository.js';
import { VerificationTask } from './verification-task.js';

const RECORDS = [
  CollectionService,
  FeaturePropertiesRepository,
  ObjectMaintenanceRepository,
  ObjectVariantsRepository,
  ScopeCopiesService,
  StoredObjectsRepository,
];

/** Records of stored objects, their deletion, and copies into other dedupe scopes. Needs `DatabaseModule` and a provider of the port `ObjectStore`. */
@Module({ providers: RECORDS, exports: RECORDS })
export class ContentModule {}

/** Findings of the integrity tasks. Needs `DatabaseModule`. */
@Module({ providers: [IntegrityFindingsService], exports: [IntegrityFindingsService] })
export class IntegrityFindingsModule {}

const SERVICES = [ContentStore, CorruptionService, ObjectVerificationService, QuarantineService];

/** Writing, verifying and quarantining the bytes of stored objects. Needs `MetricsModule`. */
@Module({
  imports: [ContentModule, IntegrityFindingsModule],
  providers: [ContentMetrics, ObjectVerificationRepository, ...SERVICES],
  exports: SERVICES,
})
export class ContentStoreModule {}

/** The check that the buckets belong to this database. Needs `DatabaseModule` and a provider of the port `ObjectStore`. */
@Module({ providers: [InstallationService], exports: [InstallationService] })
export class InstallationModule {}

/** Verification of stored objects and retention of its findings, for the worker. Requires `MetricsModule`. */
@Module({
  imports: [ContentStoreModule, InstallationModule, IntegrityFindingsModule],
  providers: [FindingRetentionService, VerificationMetrics, VerificationQueueRepository, VerificationTask],
})
export class VerificationTasksModule {}

/** The scheduled tasks of stored objects, for the worker. */
@Module({ imports: [ContentModule], providers: [ObjectTasks] })
export class ContentTasksModule {}
