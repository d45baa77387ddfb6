import { Module } from '@nestjs/common';
import { IntegrityFindingsModule } from '../content.module.js';
import { IntegrityFindingsResolver } from './integrity-findings.resolver.js';

/** Findings of the integrity tasks for operators. */
@Module({ imports: [IntegrityFindingsModule], providers: [IntegrityFindingsResolver] })
export class ContentGraphQLModule {}
