import { type DynamicModule, Module } from '@nestjs/common';
import { ScheduleModule } from '@nestjs/schedule';
import { UploadCompletionModule } from '#libs/upload';
import { LIFECYCLE_OPTIONS, type LifecycleOptions, LifecycleSchedule } from './lifecycle-schedule.js';
import { SweeperRepository } from './sweeper.repository.js';
import { SweeperService } from './sweeper.service.js';

/** Scheduled tasks of the worker. Requires the modules of `assets`, `queue`, `database` and `processing`. */
@Module({})
export class LifecycleModule {
  static forRoot(options: LifecycleOptions): DynamicModule {
    return {
      module: LifecycleModule,
      imports: [ScheduleModule.forRoot(), UploadCompletionModule],
      providers: [
        { provide: LIFECYCLE_OPTIONS, useValue: options },
        SweeperRepository,
        SweeperService,
        LifecycleSchedule,
      ],
      exports: [SweeperService],
    };
  }
}
