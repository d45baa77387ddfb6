import { Module } from '@nestjs/common';
import { QueueModule } from '#libs/queue';
import { UploadCompletionModule } from '../upload.module.js';
import { ObjectFinalizedSubscriber } from './object-finalized.subscriber.js';

/** Requires a provider of the port `ObjectEvents`. */
@Module({ imports: [QueueModule, UploadCompletionModule], providers: [ObjectFinalizedSubscriber] })
export class UploadJobsModule {}
