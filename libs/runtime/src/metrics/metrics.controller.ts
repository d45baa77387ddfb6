import { Controller, Get, Header } from '@nestjs/common';
import { Registry } from 'prom-client';

/** Serves the metrics of the process to Prometheus. */
@Controller()
export class MetricsController {
  constructor(private readonly registry: Registry) {}

  @Get('metrics')
  @Header('content-type', Registry.PROMETHEUS_CONTENT_TYPE)
  read(): Promise<string> {
    return this.registry.metrics();
  }
}
