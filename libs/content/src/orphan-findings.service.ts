import { Injectable } from '@nestjs/common';
import type { ObjectRef } from '#libs/domain';
import { inPages, type TaskContext, type TaskStep } from '#libs/runtime';
import { ObjectStore } from '#libs/storage';
import { type IntegrityFinding, IntegrityFindingsService } from './integrity-findings.service.js';

const PAGE = 1_000;

/** Subject of the findings of an object without a row. */
export const keySubject = ({ bucket, key }: ObjectRef) => `key ${bucket}/${key}`;

/** Findings about objects that no row records. */
@Injectable()
export class OrphanFindingsService {
  constructor(
    private readonly findings: IntegrityFindingsService,
    private readonly store: ObjectStore,
  ) {}

  /** Records that an orphan was deleted. */
  async reportDeleted({ bucket, key }: ObjectRef, now: Date): Promise<void> {
    const detail = 'No row recorded this object, so it was deleted.';
    await this.findings.report({ ...orphan({ bucket, key }, detail), repaired: true }, now);
  }

  /** Steps that report keys which Stowage did not create, except those that are reported already. Their objects are never deleted. */
  async foreignSteps(bucket: string, keys: readonly string[], now: Date): Promise<TaskStep[]> {
    if (keys.length === 0) return [];
    const subjects = keys.map((key) => keySubject({ bucket, key }));
    const open = await this.findings.findOpen('ORPHAN', subjects);
    return keys.map((key, index) => {
      const subject = subjects[index]!;
      if (open.has(subject)) return {};
      const detail = 'Stowage did not write this object, so it is kept.';
      const perform = () => this.findings.report(orphan({ bucket, key }, detail), now);
      return { subject: { bucket }, examine: () => ({ action: 'report', subject, detail, perform }) };
    });
  }

  /** Steps that close the findings of objects in these buckets that were deleted meanwhile. */
  async *closingSteps(buckets: readonly string[], { now, cursor }: TaskContext): AsyncGenerator<TaskStep> {
    const first = BigInt(cursor ?? 0);
    const read = (after?: IntegrityFinding) => this.findings.open(after?.id ?? first, PAGE);
    for await (const page of inPages(PAGE, read)) {
      for (const { id, problem, subject, bucket, objectKey: key } of page) {
        if (problem !== 'ORPHAN' || bucket === null || key === null || !buckets.includes(bucket)) continue;
        const perform = () => this.findings.close({ subject, problem }, now);
        const examine = async () =>
          (await this.store.stat({ bucket, key })) === null ? { action: 'close', subject, perform } : null;
        yield { cursor: String(id), examined: 0, subject: { finding: String(id) }, examine };
      }
    }
  }
}

const orphan = ({ bucket, key }: ObjectRef, detail: string) => ({
  problem: 'ORPHAN' as const,
  subject: keySubject({ bucket, key }),
  bucket,
  objectKey: key,
  detail,
});
