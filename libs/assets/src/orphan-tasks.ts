import { Injectable } from '@nestjs/common';
import {
  ContentComparisonService,
  InstallationService,
  LostVariantsService,
  OrphanFindingsService,
} from '#libs/content';
import { StowageTask, type TaskContext, type TaskStep } from '#libs/runtime';
import { AssetsConfig } from './assets.config.js';
import { IncomingOrphansService } from './incoming-orphans.service.js';

/** Compares the buckets with the database. */
@Injectable()
export class OrphanTasks {
  constructor(
    private readonly config: AssetsConfig,
    private readonly installation: InstallationService,
    private readonly incoming: IncomingOrphansService,
    private readonly content: ContentComparisonService,
    private readonly variants: LostVariantsService,
    private readonly findings: OrphanFindingsService,
  ) {}

  /**
   * Deletes objects that no row records and that are older than the time by which the database may be restored, and verifies stored
   * objects that are not as their rows say. Reports objects that Stowage did not write.
   */
  @StowageTask('collect-orphans', { cron: '0 2 * * *' }, { needsConfirmation: true })
  async *collectOrphans(context: TaskContext): AsyncGenerator<TaskStep> {
    await this.installation.assertOwnBuckets(context.isDryRun, context.signal);
    const buckets = [this.config.incomingBucket, this.content.bucket];
    const parts: readonly [string, (context: TaskContext) => AsyncIterable<TaskStep>][] = [
      ['incoming', (part) => this.incoming.steps(part)],
      ['content', (part) => this.content.keySteps(part)],
      ['objects', (part) => this.content.lostRowSteps(part)],
      ['variants', (part) => this.variants.steps(part)],
      ['findings', (part) => this.findings.closingSteps(buckets, part)],
    ];
    // A cursor consists of the name of a part, a colon, and the cursor of the part.
    const [, reached, position = null] = /^(\w+):(.*)$/.exec(context.cursor ?? '') ?? [];
    const first = Math.max(
      0,
      parts.findIndex(([name]) => name === reached),
    );
    for (const [index, [name, steps]] of parts.slice(first).entries()) {
      const cursor = index === 0 ? position : null;
      for await (const step of steps({ ...context, cursor })) {
        yield step.cursor === undefined ? step : { ...step, cursor: `${name}:${step.cursor}` };
      }
    }
  }
}
