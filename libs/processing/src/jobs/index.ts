import { Processor } from '@nestjs/bullmq';
import { Module } from '@nestjs/common';
import { InspectionConfig } from '#libs/inspection';
import { INSPECT_QUEUE, PROCESS_QUEUE, QueueModule, workerOptions } from '#libs/queue';
import { ProcessingConfig } from '../processing.config.js';
import { ProcessingModule } from '../processing.module.js';
import { InspectAssetProcessor, ProcessAssetProcessor } from './asset-processors.js';

@Module({
  imports: [ProcessingModule, QueueModule],
  providers: [ProcessAssetProcessor, InspectAssetProcessor],
})
export class ProcessingJobsModule {
  /**
   * Decorates the processors at run time, because Nest reads the options of a BullMQ worker from the decorator of its
   * processor when it initializes the modules.
   */
  constructor(config: ProcessingConfig, { processes }: InspectionConfig) {
    // One extra inspection reads its file while all processes are busy.
    const inspections = { ...config, concurrency: processes + 1 };
    Processor(PROCESS_QUEUE, workerOptions(config))(ProcessAssetProcessor);
    Processor(INSPECT_QUEUE, workerOptions(inspections))(InspectAssetProcessor);
  }
}
