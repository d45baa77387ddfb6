import { Module } from '@nestjs/common';
import { FailedAssetRetryModule } from '../processing.module.js';
import { DeadLettersResolver } from './dead-letters.resolver.js';

@Module({ imports: [FailedAssetRetryModule], providers: [DeadLettersResolver] })
export class ProcessingGraphQLModule {}
