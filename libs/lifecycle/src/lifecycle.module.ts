import { Module } from '@nestjs/common';
import { ScheduleModule } from '@nestjs/schedule';
import { AssetsModule } from '#libs/assets';
import { ContentModule } from '#libs/content';
import { ProcessingModule } from '#libs/processing';
import { UploadCompletionModule } from '#libs/upload';
import { LifecycleSchedule } from './lifecycle-schedule.js';
import { SweeperService } from './sweeper.service.js';

/** Scheduled tasks of the worker. Requires what `ProcessingModule` requires. */
@Module({
  imports: [ScheduleModule.forRoot(), AssetsModule, ContentModule, ProcessingModule, UploadCompletionModule],
  providers: [SweeperService, LifecycleSchedule],
  exports: [SweeperService],
})
export class LifecycleModule {}
