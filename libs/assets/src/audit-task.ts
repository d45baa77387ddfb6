import { Injectable } from '@nestjs/common';
import { ContentConfig, IntegrityFindingsService } from '#libs/content';
import { Database } from '#libs/database';
import { StowageTask, type TaskAction, type TaskContext, type TaskStep } from '#libs/runtime';
import { type AuditPage, AuditRepository, type Usage } from './audit.repository.js';

const DAY_MS = 24 * 3_600_000;
/** Before all owners, whose ids may be 0. */
const FIRST = -1n;

type Kind = 'objects' | 'owners';

/** Compares reference counts and quotas with the assets they count. Both are exact; a difference is the effect of a bug or of a restore. */
@Injectable()
export class AuditTask {
  constructor(
    private readonly config: ContentConfig,
    private readonly database: Database,
    private readonly audit: AuditRepository,
    private readonly findings: IntegrityFindingsService,
  ) {}

  @StowageTask('audit-counts', { cron: '0 4 * * *' })
  async *auditCounts({ now, cursor }: TaskContext): AsyncGenerator<TaskStep> {
    const [kind = 'objects', after = FIRST] = (cursor ?? '').split(' ').filter(Boolean);
    if (kind === 'objects') yield* this.pages('objects', BigInt(after), now);
    yield* this.pages('owners', kind === 'owners' ? BigInt(after) : FIRST, now);
  }

  private async *pages(kind: Kind, after: bigint, now: Date): AsyncGenerator<TaskStep> {
    for (let page = await this.compare(kind, after); page.last !== null;) {
      for (const id of page.differing) {
        yield { examined: 0, subject: { [kind]: String(id) }, examine: () => this.correction(kind, id, now) };
      }
      yield { examined: page.examined, cursor: `${kind} ${page.last}` };
      page = await this.compare(kind, page.last);
    }
  }

  private compare(kind: Kind, after: bigint): Promise<AuditPage> {
    return kind === 'objects' ? this.audit.compareReferences(after) : this.audit.compareQuotas(after);
  }

  private correction(kind: Kind, id: bigint, now: Date): TaskAction {
    return kind === 'objects'
      ? { action: 'recount', subject: `object ${id}`, perform: () => this.recountReferences(id, now) }
      : { action: 'recount', subject: `owner ${id}`, perform: () => this.recountQuota(id, now) };
  }

  /** @returns whether the count was wrong */
  private recountReferences(id: bigint, now: Date): Promise<boolean> {
    const pinnedUntil = new Date(now.getTime() + this.config.restoreWindowDays * DAY_MS);
    return this.database.transaction(async (tx) => {
      const corrected = await this.audit.correctReferences(tx, id, pinnedUntil);
      if (corrected === null) return false;
      const detail = `The reference count was ${corrected.was}, and is ${corrected.is}.`;
      const about = { subject: `object ${id}`, storedObjectId: id };
      await this.findings.report({ ...about, problem: 'REF_COUNT_DRIFT', detail, repaired: true }, now, tx);
      return true;
    });
  }

  /** @returns whether the usage was wrong */
  private recountQuota(ownerId: bigint, now: Date): Promise<boolean> {
    return this.database.transaction(async (tx) => {
      const corrected = await this.audit.correctQuota(tx, ownerId);
      if (corrected === null) return false;
      const detail = `The usage was ${textOf(corrected.was)}; it is ${textOf(corrected.is)}.`;
      const subject = `owner ${ownerId}`;
      await this.findings.report({ subject, problem: 'QUOTA_DRIFT', detail, repaired: true }, now, tx);
      return true;
    });
  }
}

const textOf = ({ usedBytes, usedAssets, reservedBytes, reservedAssets }: Usage) =>
  `${usedBytes} bytes in ${usedAssets} assets, and ${reservedBytes} reserved bytes in ${reservedAssets}`;
