import { Global, Module } from '@nestjs/common';
import { collectDefaultMetrics, Registry } from 'prom-client';
import { MetricsController } from './metrics.controller.js';

function createRegistry(): Registry {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  return registry;
}

/**
 * Provides `GET /metrics` for Prometheus (https://prometheus.io/docs/instrumenting/exposition_formats/): metrics of the
 * process, and those that libs register with the exported prom-client `Registry`. A label must never have a value that
 * a client chooses.
 */
@Global()
@Module({
  providers: [{ provide: Registry, useFactory: createRegistry }],
  controllers: [MetricsController],
  exports: [Registry],
})
export class MetricsModule {}
