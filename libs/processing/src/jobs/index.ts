import { type DynamicModule, Module } from '@nestjs/common';
import { ProcessingModule } from '../processing.module.js';
import {
  ProcessAssetProcessor,
  PROCESSING_OPTIONS,
  type ProcessingOptions,
} from './process-asset.processor.js';

export type { ProcessingOptions };

@Module({})
export class ProcessingJobsModule {
  static forRoot(options: ProcessingOptions): DynamicModule {
    return {
      module: ProcessingJobsModule,
      imports: [ProcessingModule],
      providers: [{ provide: PROCESSING_OPTIONS, useValue: options }, ProcessAssetProcessor],
    };
  }
}
