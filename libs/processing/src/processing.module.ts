import { Module } from '@nestjs/common';
import { AssetsModule } from '#libs/assets';
import { ContentModule, ContentStoreModule } from '#libs/content';
import { InspectionModule } from '#libs/inspection';
import { QueueModule } from '#libs/queue';
import { ContentChecks } from './content-checks.js';
import { ContentCostsRepository } from './content-costs.repository.js';
import { ContentInspector } from './content-inspector.js';
import { ContentReader } from './content-reader.js';
import { FailedAssetRetryService } from './failed-asset-retry.service.js';
import { FeatureInspection } from './feature-inspection.js';
import { InfectedContentService } from './infected-content.service.js';
import { InspectionChecks } from './inspection-checks.js';
import { ProcessingMetrics } from './processing-metrics.js';
import { ProcessingService } from './processing.service.js';
import { RereadService } from './reread.service.js';
import { RescanService } from './rescan.service.js';
import { RescanTask } from './rescan.task.js';
import { Spool } from './spool.js';
import { StoredContentReader } from './stored-content-reader.js';
import { VariantRebuildService } from './variant-rebuild.service.js';

const SERVICES = [
  InfectedContentService,
  ProcessingService,
  RereadService,
  RescanService,
  VariantRebuildService,
];

/**
 * The processing pipeline. Requires `DatabaseModule`, `MetricsModule`, and providers of the ports `ObjectStore` and
 * `Scanner`.
 */
@Module({
  imports: [AssetsModule, ContentModule, ContentStoreModule, InspectionModule],
  providers: [
    ContentChecks,
    ContentCostsRepository,
    ContentInspector,
    ContentReader,
    FeatureInspection,
    InspectionChecks,
    ProcessingMetrics,
    RescanTask,
    Spool,
    StoredContentReader,
    ...SERVICES,
  ],
  exports: SERVICES,
})
export class ProcessingModule {}

/** Retries of failed assets, without the pipeline. */
@Module({
  imports: [AssetsModule, QueueModule],
  providers: [FailedAssetRetryService],
  exports: [FailedAssetRetryService],
})
export class FailedAssetRetryModule {}
