import { Injectable } from '@nestjs/common';
import { Gauge, Registry } from 'prom-client';
import { Database } from './database.js';

/** Metrics of the connection pool. */
@Injectable()
export class DatabaseMetrics {
  constructor({ pool }: Database, registry: Registry) {
    new Gauge({
      name: 'stowage_database_pool_connections',
      help: 'Connections in the pool (total, idle) and callers waiting for a connection (waiting)',
      labelNames: ['state'],
      registers: [registry],
      collect() {
        this.set({ state: 'total' }, pool.totalCount);
        this.set({ state: 'idle' }, pool.idleCount);
        this.set({ state: 'waiting' }, pool.waitingCount);
      },
    });
  }
}
