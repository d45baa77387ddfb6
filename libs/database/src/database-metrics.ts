import { Injectable } from '@nestjs/common';
import { Gauge, Registry } from 'prom-client';
import { HealthChecks } from '#libs/runtime';
import { Database } from './database.js';

/** Database metrics and health check: reachability and the use of the connection pool. */
@Injectable()
export class DatabaseMetrics {
  constructor(database: Database, registry: Registry, health: HealthChecks) {
    health.add('database', () => database.ping());
    const { pool } = database;
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
