import { Module } from '@nestjs/common';
import { RevivalModule } from '../processing.module.js';
import { DeadLettersResolver } from './dead-letters.resolver.js';

@Module({ imports: [RevivalModule], providers: [DeadLettersResolver] })
export class ProcessingGraphQLModule {}
