import { Module } from '@nestjs/common';
import { QueueModule } from '#libs/queue';
import { FailedAssetRetryModule } from '../processing.module.js';
import { DeadLettersResolver } from './dead-letters.resolver.js';

@Module({ imports: [FailedAssetRetryModule, QueueModule], providers: [DeadLettersResolver] })
export class ProcessingGraphQLModule {}
