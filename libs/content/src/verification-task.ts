import { Injectable } from '@nestjs/common';
import { PinoLogger } from 'nestjs-pino';
import { inPages, StowageTask, type TaskContext, type TaskStep } from '#libs/runtime';
import { ContentStoreConfig } from './content.config.js';
import { InstallationService } from './installation.service.js';
import { IntegrityFindingsService } from './integrity-findings.service.js';
import { ObjectVerificationService, objectSubject } from './object-verification.service.js';
import {
  type ObsoleteFindings,
  type UnverifiedObject,
  VerificationQueueRepository,
} from './verification-queue.repository.js';

const BATCH = 100;
const DAY_MS = 24 * 3_600_000;

/**
 * Reads and hashes all stored objects within `VERIFY_DAYS`. This requires that the bytes of the library divided by
 * `VERIFY_BYTES_PER_SECOND` are less than that time; otherwise `stowage_integrity_oldest_check_seconds` exceeds it.
 */
@Injectable()
export class VerificationTask {
  constructor(
    private readonly config: ContentStoreConfig,
    private readonly queue: VerificationQueueRepository,
    private readonly verification: ObjectVerificationService,
    private readonly installation: InstallationService,
    private readonly findings: IntegrityFindingsService,
    private readonly logger: PinoLogger,
  ) {
    logger.setContext(VerificationTask.name);
  }

  /** Verifies the objects of open findings first: an upload may have stored them again. */
  @StowageTask('verify-integrity', { seconds: 60 }, { concurrency: 1 })
  async *verify(context: TaskContext): AsyncGenerator<TaskStep> {
    let isChecked = false;
    for await (const step of this.steps(context)) {
      // In the bucket of another installation, all objects would be missing.
      if (!isChecked) await this.installation.assertOwnBuckets(context.isDryRun, context.signal);
      isChecked = true;
      yield step;
    }
  }

  private async *steps(context: TaskContext): AsyncGenerator<TaskStep> {
    yield* this.revisit(context);
    if (this.config.verifyDays === 0) return;
    const before = new Date(context.now.getTime() - this.config.verifyDays * DAY_MS);
    let isFirst = true;
    for await (const objects of inPages(BATCH, (after?: UnverifiedObject) =>
      this.queue.unverified(before, BATCH, after),
    )) {
      if (isFirst && !context.isDryRun) this.logOldest(objects[0]!);
      isFirst = false;
      for (const { id, sizeBytes } of objects) yield this.step(id, sizeBytes, context);
    }
  }

  private async *revisit(context: TaskContext): AsyncGenerator<TaskStep> {
    for await (const page of inPages(BATCH, (after?: ObsoleteFindings) =>
      this.queue.obsoleteFindings(BATCH, after),
    )) {
      for (const findings of page) {
        const { storedObjectId: id, state, sizeBytes } = findings;
        yield state === 'LIVE' ? this.step(id, sizeBytes!, context) : this.closing(findings, context.now);
      }
    }
  }

  /** Infected bytes were taken away on purpose, and so were those of an object without a row. */
  private closing({ storedObjectId: id, problems }: ObsoleteFindings, now: Date): TaskStep {
    const subject = objectSubject(id);
    const perform = async () => {
      let closed = 0;
      for (const problem of problems) closed += Number(await this.findings.close({ subject, problem }, now));
      return closed;
    };
    const changes = problems.length;
    return {
      subject: { storedObject: String(id) },
      examine: () => ({ action: 'close', subject, detail: problems.join(', '), changes, perform }),
    };
  }

  private step(id: bigint, sizeBytes: bigint, { now, signal, isDryRun }: TaskContext): TaskStep {
    const perform = async () => (await this.verification.verify(id, now, signal)) !== 'changed';
    return {
      subject: { storedObject: String(id) },
      paceMs: isDryRun ? 0 : Math.floor((Number(sizeBytes) * 1000) / this.config.verifyBytesPerSecond),
      examine: () => ({ action: 'verify', subject: objectSubject(id), perform }),
    };
  }

  private logOldest({ id, lastVerifiedAt }: UnverifiedObject): void {
    this.logger.info({ storedObject: String(id), lastVerifiedAt }, 'verification of stored objects begins');
  }
}
