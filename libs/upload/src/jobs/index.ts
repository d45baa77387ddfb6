import { Module } from '@nestjs/common';
import { ArrivalsModule } from '../upload.module.js';
import { ObjectFinalizedSubscriber } from './object-finalized.subscriber.js';

/** Needs a provider of the port `ObjectEvents`. */
@Module({ imports: [ArrivalsModule], providers: [ObjectFinalizedSubscriber] })
export class UploadJobsModule {}
