import { Injectable } from '@nestjs/common';
import { inBatches, removal, StowageTask, type TaskContext, type TaskStep } from '#libs/runtime';
import { ContentStoreConfig } from './content.config.js';
import { IntegrityFindingsService } from './integrity-findings.service.js';

const BATCH = 1_000;
const DAY_MS = 24 * 3_600_000;

/** Removes findings that were repaired. Open findings stay. */
@Injectable()
export class FindingRetentionService {
  constructor(
    private readonly config: ContentStoreConfig,
    private readonly findings: IntegrityFindingsService,
  ) {}

  @StowageTask('prune-findings', { cron: '50 2 * * *' })
  *prune(context: TaskContext): Generator<TaskStep> {
    const { now, signal } = context;
    const before = new Date(now.getTime() - this.config.findingDays * DAY_MS);
    const remove = () => inBatches(signal, () => this.findings.remove(before, BATCH));
    yield removal('integrity_findings', context, () => this.findings.countRepaired(before), remove);
  }
}
