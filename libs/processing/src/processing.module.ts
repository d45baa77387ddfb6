import { type DynamicModule, Module } from '@nestjs/common';
import { ContentStoreModule, type ContentStoreOptions } from '#libs/content';
import { ContentChecks } from './content-checks.js';
import { ContentInspector } from './content-inspector.js';
import { ContentReader } from './content-reader.js';
import { FailedAssetRetryService } from './failed-asset-retry.service.js';
import { InfectedContentService } from './infected-content.service.js';
import { ProcessingMetrics } from './processing-metrics.js';
import { PIPELINE_OPTIONS, type PipelineOptions } from './processing.options.js';
import { ProcessingService } from './processing.service.js';
import { RescanService } from './rescan.service.js';
import { Spool } from './spool.js';
import { VariantRebuildService } from './variant-rebuild.service.js';

/**
 * The processing pipeline. Requires the modules of `assets`, `content`, `queue`, `database` and `inspection`, `MetricsModule`, and
 * providers of the ports `ObjectStore` and `Scanner`.
 */
@Module({})
export class ProcessingModule {
  static forRoot({ quarantineBucket, ...options }: PipelineOptions & ContentStoreOptions): DynamicModule {
    const inner = [ContentChecks, ContentInspector, ContentReader, ProcessingMetrics, Spool];
    const services = [InfectedContentService, ProcessingService, RescanService, VariantRebuildService];
    return {
      module: ProcessingModule,
      global: true,
      imports: [ContentStoreModule.forRoot({ quarantineBucket, profiles: options.profiles })],
      providers: [{ provide: PIPELINE_OPTIONS, useValue: options }, ...inner, ...services],
      exports: services,
    };
  }
}

/** Retries of failed assets, without the pipeline. Requires the modules of `assets` and `queue`. */
@Module({ providers: [FailedAssetRetryService], exports: [FailedAssetRetryService] })
export class FailedAssetRetryModule {}
