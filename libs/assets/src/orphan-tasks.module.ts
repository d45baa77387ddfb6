import { Module } from '@nestjs/common';
import { ContentComparisonModule, InstallationModule } from '#libs/content';
import { IncomingOrphansService } from './incoming-orphans.service.js';
import { OrphanTasks } from './orphan-tasks.js';

/** The comparison of the buckets with the database, for the worker. Needs `DatabaseModule`, `MetricsModule` and a provider of the port `ObjectStore`. */
@Module({
  imports: [ContentComparisonModule, InstallationModule],
  providers: [IncomingOrphansService, OrphanTasks],
})
export class OrphanTasksModule {}
