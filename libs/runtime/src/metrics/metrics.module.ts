import { Global, Module } from '@nestjs/common';
import { collectDefaultMetrics, Registry } from 'prom-client';
import { MetricsController } from './metrics.controller.js';

function createRegistry(): Registry {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  return registry;
}

/**
 * `GET /metrics` for Prometheus (https://prometheus.io/docs/instrumenting/exposition_formats/): the process itself, and what
 * libs register with the `Registry` of prom-client that this provides. No label takes a value of the client's choosing.
 */
@Global()
@Module({
  providers: [{ provide: Registry, useFactory: createRegistry }],
  controllers: [MetricsController],
  exports: [Registry],
})
export class MetricsModule {}
