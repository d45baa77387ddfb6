import { type DynamicModule, Module } from '@nestjs/common';
import type { ContentStoreOptions } from '#libs/content';
import { ProcessingModule } from '../processing.module.js';
import type { PipelineOptions } from '../processing.options.js';
import { type ProcessingOptions, processorsOf } from './asset-processors.js';

export type { PipelineOptions, ProcessingOptions };

@Module({})
export class ProcessingJobsModule {
  static forRoot(options: ProcessingOptions & PipelineOptions & ContentStoreOptions): DynamicModule {
    return {
      module: ProcessingJobsModule,
      imports: [ProcessingModule.forRoot(options)],
      providers: processorsOf(options),
    };
  }
}
