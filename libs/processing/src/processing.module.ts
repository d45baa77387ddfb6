import { type DynamicModule, Module } from '@nestjs/common';
import { ContentInspector } from './content-inspector.js';
import { ContentStore } from './content-store.js';
import { CorruptionService } from './corruption.service.js';
import { ContentChecks } from './content-checks.js';
import { ContentReader } from './content-reader.js';
import { ProcessingMetrics } from './processing-metrics.js';
import { PIPELINE_OPTIONS, type PipelineOptions } from './processing.options.js';
import { ProcessingService } from './processing.service.js';
import { VariantRebuildService } from './variant-rebuild.service.js';
import { RescanService } from './rescan.service.js';
import { FailedAssetRetryService } from './failed-asset-retry.service.js';
import { Spool } from './spool.js';

/**
 * Needs the modules of `assets`, `jobs`, `database` and `inspection`, `MetricsModule`, and providers of the ports `ObjectStore`
 * and `Scanner`.
 */
@Module({})
export class ProcessingModule {
  static forRoot(options: PipelineOptions): DynamicModule {
    const inner = [
      ContentInspector,
      ContentStore,
      CorruptionService,
      ContentChecks,
      ContentReader,
      ProcessingMetrics,
      Spool,
    ];
    const services = [ProcessingService, RescanService, VariantRebuildService];
    return {
      module: ProcessingModule,
      global: true,
      providers: [{ provide: PIPELINE_OPTIONS, useValue: options }, ...inner, ...services],
      exports: services,
    };
  }
}

/** What operators may do about failures, without the pipeline itself. Needs the modules of `assets` and `jobs`. */
@Module({ providers: [FailedAssetRetryService], exports: [FailedAssetRetryService] })
export class FailedAssetRetryModule {}
