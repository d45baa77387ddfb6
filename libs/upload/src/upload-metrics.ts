import { Injectable } from '@nestjs/common';
import { Counter, Histogram, Registry } from 'prom-client';
import type { CheckOutcome } from './upload-completion.js';
import type { Created } from './upload.repository.js';

/** Seconds, from one second to the week that a resumable session may last. */
const WAIT_BUCKETS = [1, 5, 15, 60, 300, 900, 3_600, 6 * 3_600, 86_400, 7 * 86_400];

/** Metrics of uploads, from the request until the object is in storage. */
@Injectable()
export class UploadMetrics {
  private readonly requests: Counter<'outcome'>;
  private readonly quotaRefusals: Counter;
  private readonly checks: Counter<'outcome'>;
  private readonly waits: Histogram;

  constructor(registry: Registry) {
    const registers = [registry];
    this.requests = new Counter({
      name: 'stowage_upload_requests_total',
      help: 'Valid upload requests by outcome',
      labelNames: ['outcome'],
      registers,
    });
    this.quotaRefusals = new Counter({
      name: 'stowage_quota_refusals_total',
      help: 'Uploads rejected because they would exceed the quota of their owner',
      registers,
    });
    this.checks = new Counter({
      name: 'stowage_upload_arrivals_total',
      help: 'Upload checks by outcome',
      labelNames: ['outcome'],
      registers,
    });
    this.waits = new Histogram({
      name: 'stowage_upload_seconds',
      help: 'Seconds from the request for an upload to the claim of its object',
      buckets: WAIT_BUCKETS,
      registers,
    });
  }

  requested(created: Created): void {
    const isShared = created.outcome === 'created' && created.asset.status === 'READY';
    this.requests.inc({ outcome: isShared ? 'adopted' : created.outcome });
    if (created.outcome === 'over-quota') this.quotaRefusals.inc();
  }

  checked(outcome: CheckOutcome): void {
    this.checks.inc({ outcome });
  }

  /** @param seconds since the upload was requested */
  received(seconds: number): void {
    this.waits.observe(seconds);
  }
}
