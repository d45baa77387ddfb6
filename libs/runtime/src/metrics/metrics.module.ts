import { Global, Module, type OnModuleInit } from '@nestjs/common';
import { collectDefaultMetrics, Gauge, Registry } from 'prom-client';
import { Contributions, ContributionsModule } from '../contributions.js';
import { METRIC_GAUGES } from './metric-gauge.js';
import { MetricsController } from './metrics.controller.js';

function createRegistry(): Registry {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  return registry;
}

/**
 * Provides `GET /metrics` for Prometheus (https://prometheus.io/docs/instrumenting/exposition_formats/): metrics of the
 * process, methods with `@MetricGauge`, and metrics that libs register with the exported prom-client `Registry`. A label
 * must never have a value that a client chooses.
 */
@Global()
@Module({
  imports: [ContributionsModule],
  providers: [{ provide: Registry, useFactory: createRegistry }],
  controllers: [MetricsController],
  exports: [Registry],
})
export class MetricsModule implements OnModuleInit {
  constructor(
    private readonly contributions: Contributions,
    private readonly registry: Registry,
  ) {}

  /** @throws Error if two metrics have one name */
  onModuleInit(): void {
    for (const { options, call } of this.contributions.methods(METRIC_GAUGES)) {
      new Gauge({
        ...options,
        registers: [this.registry],
        collect() {
          this.set(call());
        },
      });
    }
  }
}
