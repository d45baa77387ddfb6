import { type DynamicModule, Global, Module } from '@nestjs/common';
import { HealthChecks } from './health-checks.js';
import { HealthController } from './health.controller.js';
import { HealthService, HEALTH_OPTIONS, type HealthOptions } from './health.service.js';

/** Provides `GET /health/live`, `GET /health/ready` and {@link HealthChecks}, to which modules add their checks. */
@Global()
@Module({})
export class HealthModule {
  static forRoot(options: HealthOptions = {}): DynamicModule {
    return {
      module: HealthModule,
      providers: [HealthService, HealthChecks, { provide: HEALTH_OPTIONS, useValue: options }],
      controllers: [HealthController],
      exports: [HealthChecks],
    };
  }
}
