import { Global, Module } from '@nestjs/common';
import { Clock } from './clock.js';
import { Database } from './database.js';
import { DatabaseMetrics } from './database-metrics.js';

/** Provides {@link Database} and {@link Clock}. An app imports it once. Needs `MetricsModule`. */
@Global()
@Module({ providers: [Database, DatabaseMetrics, Clock], exports: [Database, Clock] })
export class DatabaseModule {}
