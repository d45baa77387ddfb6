import { Global, Module } from '@nestjs/common';
import { APP_INTERCEPTOR } from '@nestjs/core';
import { MetricsController } from './metrics.controller.js';
import { Metrics } from './metrics.service.js';
import { QuotaRefusals } from './quota-refusals.interceptor.js';

@Global()
@Module({
  providers: [Metrics, { provide: APP_INTERCEPTOR, useClass: QuotaRefusals }],
  controllers: [MetricsController],
  exports: [Metrics],
})
export class MetricsModule {}
