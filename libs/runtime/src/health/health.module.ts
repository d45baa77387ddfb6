import { type DynamicModule, Module } from '@nestjs/common';
import { ContributionsModule } from '../contributions.js';
import { HealthController } from './health.controller.js';
import { HealthService, HEALTH_OPTIONS, type HealthOptions } from './health.service.js';

/** Provides `GET /health/live`, and `GET /health/ready`, which runs the methods with `@HealthCheck`. */
@Module({})
export class HealthModule {
  static forRoot(options: HealthOptions = {}): DynamicModule {
    return {
      module: HealthModule,
      imports: [ContributionsModule],
      providers: [HealthService, { provide: HEALTH_OPTIONS, useValue: options }],
      controllers: [HealthController],
    };
  }
}
