import { Injectable } from '@nestjs/common';
import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client';
import { Database } from '#libs/database';

const BUCKETS_SECONDS = [0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10];

/**
 * What this process counts, for Prometheus (https://prometheus.io/docs/instrumenting/exposition_formats/). No label
 * takes a value of the client's choosing.
 */
@Injectable()
export class Metrics {
  readonly registry = new Registry();

  private readonly requests = new Counter({
    name: 'stowage_graphql_requests_total',
    help: 'Operations answered, by root field and by code of the first error, or OK',
    labelNames: ['operation', 'code'],
    registers: [this.registry],
  });
  private readonly durations = new Histogram({
    name: 'stowage_graphql_request_duration_seconds',
    help: 'How long operations took, by root field',
    labelNames: ['operation'],
    buckets: BUCKETS_SECONDS,
    registers: [this.registry],
  });
  private readonly quotaRefusals = new Counter({
    name: 'stowage_quota_refusals_total',
    help: 'Uploads refused because they would pass their owner’s quota',
    registers: [this.registry],
  });

  constructor(database: Database) {
    collectDefaultMetrics({ register: this.registry });
    const { pool } = database;
    new Gauge({
      name: 'stowage_database_pool_connections',
      help: 'Connections of the pool: all, idle ones, and callers waiting for one',
      labelNames: ['state'],
      registers: [this.registry],
      collect() {
        this.set({ state: 'total' }, pool.totalCount);
        this.set({ state: 'idle' }, pool.idleCount);
        this.set({ state: 'waiting' }, pool.waitingCount);
      },
    });
  }

  /** @param operation a name out of the schema */
  answered(operation: string, code: string, seconds: number): void {
    this.requests.inc({ operation, code });
    this.durations.observe({ operation }, seconds);
  }

  quotaRefused(count: number): void {
    if (count > 0) this.quotaRefusals.inc(count);
  }
}
