import { type DynamicModule, Module } from '@nestjs/common';
import { HealthController } from './health.controller.js';
import { Health, PROBED_BUCKET } from './health.service.js';

@Module({})
export class HealthModule {
  static forRoot(bucket: string): DynamicModule {
    return {
      module: HealthModule,
      providers: [Health, { provide: PROBED_BUCKET, useValue: bucket }],
      controllers: [HealthController],
    };
  }
}
