import { Global, Module } from '@nestjs/common';
import { Clock } from './clock.js';
import { Database } from './database.js';
import { DatabaseMetrics } from './database-metrics.js';
import { Notifications } from './notifications.js';

/** Provides {@link Database}, {@link Clock} and {@link Notifications}. An app imports it once. Needs `MetricsModule`. */
@Global()
@Module({
  providers: [Database, DatabaseMetrics, Clock, Notifications],
  exports: [Database, Clock, Notifications],
})
export class DatabaseModule {}
