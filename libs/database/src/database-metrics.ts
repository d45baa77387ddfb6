import { Injectable } from '@nestjs/common';
import { Gauge, Registry } from 'prom-client';
import { HealthChecks } from '#libs/runtime';
import { Database } from './database.js';

/** What is seen of the database from outside: whether it answers, and the use of the pool. */
@Injectable()
export class DatabaseMetrics {
  constructor(database: Database, registry: Registry, health: HealthChecks) {
    health.add('database', () => database.ping());
    const { pool } = database;
    new Gauge({
      name: 'stowage_database_pool_connections',
      help: 'Connections of the pool: all, idle ones, and callers waiting for one',
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
