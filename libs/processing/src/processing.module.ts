import { type DynamicModule, Module } from '@nestjs/common';
import { ContentInspector } from './content-inspector.js';
import { ContentStore } from './content-store.js';
import { Corruption } from './corruption.service.js';
import { Examination } from './examination.js';
import { Intake } from './intake.js';
import { ProcessingMetrics } from './processing-metrics.js';
import { PIPELINE_OPTIONS, type PipelineOptions } from './processing.options.js';
import { Processing } from './processing.service.js';
import { Rederivation } from './rederivation.service.js';
import { Rescan } from './rescan.service.js';
import { Revival } from './revival.service.js';
import { Spool } from './spool.js';

/**
 * Needs the modules of `assets`, `jobs`, `database` and `inspection`, `MetricsModule`, and providers of the ports `ObjectStore`
 * and `Scanner`.
 */
@Module({})
export class ProcessingModule {
  static forRoot(options: PipelineOptions): DynamicModule {
    const inner = [ContentInspector, ContentStore, Corruption, Examination, Intake, ProcessingMetrics, Spool];
    const services = [Processing, Rescan, Rederivation];
    return {
      module: ProcessingModule,
      global: true,
      providers: [{ provide: PIPELINE_OPTIONS, useValue: options }, ...inner, ...services],
      exports: services,
    };
  }
}

/** What operators may do about failures, without the pipeline itself. Needs the modules of `assets` and `jobs`. */
@Module({ providers: [Revival], exports: [Revival] })
export class RevivalModule {}
