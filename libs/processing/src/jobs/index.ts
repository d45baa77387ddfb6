import { type DynamicModule, Module } from '@nestjs/common';
import { ProcessingModule } from '../processing.module.js';
import { type ProcessingOptions, processorOf } from './process-asset.processor.js';

export type { ProcessingOptions };

@Module({})
export class ProcessingJobsModule {
  static forRoot(options: ProcessingOptions): DynamicModule {
    return { module: ProcessingJobsModule, imports: [ProcessingModule], providers: [processorOf(options)] };
  }
}
