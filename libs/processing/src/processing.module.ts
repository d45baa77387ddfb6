import { Module } from '@nestjs/common';
import { ContentStore } from './content-store.js';
import { ProcessingMetrics } from './processing-metrics.js';
import { Processing } from './processing.service.js';
import { Revival } from './revival.service.js';

/** Needs the modules of `assets`, `jobs` and `database`, `MetricsModule`, and a provider of the port `ObjectStore`. */
@Module({ providers: [ContentStore, Processing, ProcessingMetrics], exports: [Processing] })
export class ProcessingModule {}

/** What operators may do about failures, without the pipeline itself. Needs the modules of `assets` and `jobs`. */
@Module({ providers: [Revival], exports: [Revival] })
export class RevivalModule {}
