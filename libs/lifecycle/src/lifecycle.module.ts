import { Module } from '@nestjs/common';
import { ScheduleModule } from '@nestjs/schedule';
import { ArrivalsModule } from '#libs/upload';
import { LifecycleSchedule } from './schedule.js';
import { SweeperRepository } from './sweeper.repository.js';
import { Sweeper } from './sweeper.service.js';

/** Runs in the worker. Needs the modules of `assets`, `jobs` and `database`. */
@Module({
  imports: [ScheduleModule.forRoot(), ArrivalsModule],
  providers: [SweeperRepository, Sweeper, LifecycleSchedule],
  exports: [Sweeper],
})
export class LifecycleModule {}
