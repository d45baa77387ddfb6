import { Injectable } from '@nestjs/common';
import { Counter, Histogram, Registry } from 'prom-client';
import type { CheckOutcome } from './upload-completion.js';
import type { Created } from './upload.repository.js';

/** From a second to the week of a resumable session. */
const WAIT_BUCKETS = [1, 5, 15, 60, 300, 900, 3_600, 6 * 3_600, 86_400, 7 * 86_400];

/** What becomes of the wish to upload, up to "the bytes are here". */
@Injectable()
export class UploadMetrics {
  private readonly requests: Counter<'outcome'>;
  private readonly quotaRefusals: Counter;
  private readonly completion: Counter<'outcome'>;
  private readonly waits: Histogram;

  constructor(registry: Registry) {
    const registers = [registry];
    this.requests = new Counter({
      name: 'stowage_upload_requests_total',
      help: 'Uploads asked for that were well-formed, by what came of it',
      labelNames: ['outcome'],
      registers,
    });
    this.quotaRefusals = new Counter({
      name: 'stowage_quota_refusals_total',
      help: 'Uploads refused because they would pass their owner’s quota',
      registers,
    });
    this.completion = new Counter({
      name: 'stowage_upload_arrivals_total',
      help: 'Times that bytes were said or thought to be there, by what was found',
      labelNames: ['outcome'],
      registers,
    });
    this.waits = new Histogram({
      name: 'stowage_upload_seconds',
      help: 'From the request for an upload to its bytes',
      buckets: WAIT_BUCKETS,
      registers,
    });
  }

  requested({ outcome, ...created }: Created): void {
    const isAdopted = 'asset' in created && outcome === 'created' && created.asset.status === 'READY';
    this.requests.inc({ outcome: isAdopted ? 'adopted' : outcome });
    if (outcome === 'over-quota') this.quotaRefusals.inc();
  }

  arrived(outcome: CheckOutcome): void {
    this.completion.inc({ outcome });
  }

  /** @param seconds since the upload was asked for */
  received(seconds: number): void {
    this.waits.observe(seconds);
  }
}
