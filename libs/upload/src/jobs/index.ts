import { Module } from '@nestjs/common';
import { UploadCompletionModule } from '../upload.module.js';
import { ObjectFinalizedSubscriber } from './object-finalized.subscriber.js';

/** Requires a provider of the port `ObjectEvents`. */
@Module({ imports: [UploadCompletionModule], providers: [ObjectFinalizedSubscriber] })
export class UploadJobsModule {}
