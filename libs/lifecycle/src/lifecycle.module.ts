import { Module } from '@nestjs/common';
import { ScheduleModule } from '@nestjs/schedule';
import { AccessTasksModule } from '#libs/access';
import { AssetsModule } from '#libs/assets';
import { ContentModule } from '#libs/content';
import { ProcessingModule } from '#libs/processing';
import { ContributionsModule } from '#libs/runtime';
import { UploadCompletionModule } from '#libs/upload';
import { CronRuns } from './cron-runs.js';
import { SweeperService } from './sweeper.service.js';
import { TaskRunner } from './task-runner.js';
import { TaskSchedule } from './task-schedule.js';
import { TaskTicksRepository } from './task-ticks.repository.js';

/** Runs the methods with `@StowageTask` of all modules. Requires `DatabaseModule` and `MetricsModule`. */
@Module({
  imports: [ScheduleModule.forRoot(), ContributionsModule],
  providers: [TaskTicksRepository, TaskRunner, CronRuns, TaskSchedule],
})
export class TasksModule {}

/** The scheduled tasks of the worker. Requires what `ProcessingModule` requires. */
@Module({
  imports: [
    TasksModule,
    AccessTasksModule,
    AssetsModule,
    ContentModule,
    ProcessingModule,
    UploadCompletionModule,
  ],
  providers: [SweeperService],
  exports: [SweeperService],
})
export class LifecycleModule {}
