import { Module } from '@nestjs/common';
import { AccessTasksModule } from '#libs/access';
import { AssetTasksModule, AuditTasksModule, OrphanTasksModule } from '#libs/assets';
import { ContentTasksModule, VerificationTasksModule } from '#libs/content';
import { ProcessingModule } from '#libs/processing';
import { QueueModule, QueueTasksModule } from '#libs/queue';
import { ContributionsModule } from '#libs/runtime';
import { UploadTasksModule } from '#libs/upload';
import { DeclaredTasks } from './declared-tasks.js';
import { TaskExecutionService } from './task-execution.service.js';
import { TaskRunRetentionService } from './task-run-retention.service.js';
import { TaskRunner } from './task-runner.js';
import { TaskRunsRepository } from './task-runs.repository.js';
import { TaskRunsService } from './task-runs.service.js';

/** Runs of tasks for operators. Requires `DatabaseModule` and `MetricsModule`. */
@Module({
  imports: [QueueModule],
  providers: [TaskRunsRepository, TaskRunsService],
  exports: [TaskRunsRepository, TaskRunsService],
})
export class TaskRunsModule {}

/** The methods with `@StowageTask` of all modules of the worker, and the execution of their runs. */
@Module({
  imports: [ContributionsModule, TaskRunsModule],
  providers: [DeclaredTasks, TaskRunner, TaskExecutionService, TaskRunRetentionService],
  exports: [DeclaredTasks, TaskRunner, TaskExecutionService, TaskRunsModule],
})
export class TasksModule {}

/** The scheduled tasks of the worker. Requires what `ProcessingModule` requires. */
@Module({
  imports: [
    TasksModule,
    AccessTasksModule,
    AssetTasksModule,
    AuditTasksModule,
    ContentTasksModule,
    OrphanTasksModule,
    ProcessingModule,
    QueueTasksModule,
    UploadTasksModule,
    VerificationTasksModule,
  ],
})
export class LifecycleModule {}
