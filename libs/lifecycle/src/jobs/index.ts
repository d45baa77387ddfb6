import { Module } from '@nestjs/common';
import { ScheduleModule } from '@nestjs/schedule';
import { TasksModule } from '../lifecycle.module.js';
import { TaskProcessor } from './task.processor.js';
import { TaskSchedule } from './task-schedule.js';

/** Schedules the tasks of all modules of the worker and executes their runs. */
@Module({
  imports: [ScheduleModule.forRoot(), TasksModule],
  providers: [TaskProcessor, TaskSchedule],
})
export class TaskJobsModule {}
