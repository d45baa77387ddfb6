import { type DynamicModule, Module } from '@nestjs/common';
import { ScheduleModule } from '@nestjs/schedule';
import { ArrivalsModule } from '#libs/upload';
import { LIFECYCLE_OPTIONS, type LifecycleOptions, LifecycleSchedule } from './schedule.js';
import { SweeperRepository } from './sweeper.repository.js';
import { Sweeper } from './sweeper.service.js';

/** Runs in the worker. Needs the modules of `assets`, `jobs`, `database` and `processing`. */
@Module({})
export class LifecycleModule {
  static forRoot(options: LifecycleOptions): DynamicModule {
    return {
      module: LifecycleModule,
      imports: [ScheduleModule.forRoot(), ArrivalsModule],
      providers: [
        { provide: LIFECYCLE_OPTIONS, useValue: options },
        SweeperRepository,
        Sweeper,
        LifecycleSchedule,
      ],
      exports: [Sweeper],
    };
  }
}
