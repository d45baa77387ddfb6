import { Injectable } from '@nestjs/common';
import { Counter, Histogram, Registry } from 'prom-client';

const BUCKETS_SECONDS = [0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10];

/** Metrics of GraphQL operations. */
@Injectable()
export class RequestMetrics {
  private readonly requests: Counter<'operation' | 'code'>;
  private readonly durations: Histogram<'operation'>;

  constructor(registry: Registry) {
    const registers = [registry];
    this.requests = new Counter({
      name: 'stowage_graphql_requests_total',
      help: 'Number of answered operations, by root field and code of the first error (or OK)',
      labelNames: ['operation', 'code'],
      registers,
    });
    this.durations = new Histogram({
      name: 'stowage_graphql_request_duration_seconds',
      help: 'Duration of operations in seconds, by root field',
      labelNames: ['operation'],
      buckets: BUCKETS_SECONDS,
      registers,
    });
  }

  /**
   * Records an answered operation.
   * @param operation name of a root field of the schema, since metric labels must have few values
   */
  answered(operation: string, code: string, seconds: number): void {
    this.requests.inc({ operation, code });
    this.durations.observe({ operation }, seconds);
  }
}
