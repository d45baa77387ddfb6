import { setTimeout as delay } from 'node:timers/promises';
import { Injectable } from '@nestjs/common';
import { Gauge, Registry } from 'prom-client';
import { Clock } from '#libs/database';
import { VerificationQueueRepository } from './verification-queue.repository.js';

const TIMEOUT_MS = 2_000;

/** Shows whether the rate of verification suffices. A database that does not answer in time leaves the value out. */
@Injectable()
export class VerificationMetrics {
  constructor(queue: VerificationQueueRepository, clock: Clock, registry: Registry) {
    new Gauge({
      name: 'stowage_integrity_oldest_check_seconds',
      help: 'Age in seconds of the oldest verification of a stored object; 0 without objects',
      registers: [registry],
      async collect() {
        const timeout = delay(TIMEOUT_MS, undefined, { ref: false });
        const oldest = await Promise.race([queue.oldestCheck().catch(() => undefined), timeout]);
        this.reset();
        if (oldest === undefined) this.remove();
        else this.set(oldest === null ? 0 : Math.max(0, clock.now().getTime() - oldest.getTime()) / 1000);
      },
    });
  }
}
