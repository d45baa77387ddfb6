import { type DynamicModule, Module } from '@nestjs/common';
import { ProcessingModule } from '../processing.module.js';
import type { PipelineOptions } from '../processing.options.js';
import { type ProcessingOptions, processorOf } from './process-asset.processor.js';

export type { PipelineOptions, ProcessingOptions };

@Module({})
export class ProcessingJobsModule {
  static forRoot(options: ProcessingOptions & PipelineOptions): DynamicModule {
    return {
      module: ProcessingJobsModule,
      imports: [ProcessingModule.forRoot(options)],
      providers: [processorOf(options)],
    };
  }
}
