import { Module } from '@nestjs/common';
import { IntegrityFindingsModule } from '#libs/content';
import { AuditRepository } from './audit.repository.js';
import { AuditTask } from './audit-task.js';

/** The comparison of counts with the assets that they count, for the worker. Requires `DatabaseModule`. */
@Module({ imports: [IntegrityFindingsModule], providers: [AuditRepository, AuditTask] })
export class AuditTasksModule {}
