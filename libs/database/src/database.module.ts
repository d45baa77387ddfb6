import { type DynamicModule, Global, Module } from '@nestjs/common';
import { Clock } from './clock.js';
import { DATABASE_OPTIONS, Database, type DatabaseOptions } from './database.js';
import { DatabaseMetrics } from './database-metrics.js';

/** Provides {@link Database} and {@link Clock}. An app imports it once. Needs `MetricsModule` and `HealthModule`. */
@Global()
@Module({})
export class DatabaseModule {
  static forRoot(options: DatabaseOptions): DynamicModule {
    return {
      module: DatabaseModule,
      providers: [{ provide: DATABASE_OPTIONS, useValue: options }, Database, DatabaseMetrics, Clock],
      exports: [Database, Clock],
    };
  }
}
