import { Injectable } from '@nestjs/common';
import { type ContentRef, INSTALLATION_KEY, parseContentKey, parseVariantKey } from '#libs/domain';
import type { TaskAction, TaskContext, TaskStep } from '#libs/runtime';
import { type ObjectStat, ObjectStore } from '#libs/storage';
import { comparePages, type Pair } from './bucket-comparison.js';
import { ContentConfig } from './content.config.js';
import { IntegrityFindingsService } from './integrity-findings.service.js';
import { ObjectVerificationService } from './object-verification.service.js';
import { OrphanFindingsService, keySubject } from './orphan-findings.service.js';
import { OrphanRemovalService } from './orphan-removal.service.js';
import { type ContentRow, OrphansRepository } from './orphans.repository.js';

const PAGE = 1_000;
const DAY_MS = 24 * 3_600_000;

/** An object at a key of the form that Stowage creates. The content is null for a variant. */
interface OwnObject {
  readonly object: ObjectStat;
  readonly content: ContentRef | null;
}

/** Objects that were created before this time and have no row are orphans: a restored database knows all others again. */
export const orphansBefore = (now: Date, { restoreWindowDays }: ContentConfig) =>
  new Date(now.getTime() - (restoreWindowDays + 1) * DAY_MS);

/** Compares the content bucket with the rows of copies and variants, in both directions. */
@Injectable()
export class ContentComparisonService {
  constructor(
    private readonly config: ContentConfig,
    private readonly orphans: OrphansRepository,
    private readonly removal: OrphanRemovalService,
    private readonly verification: ObjectVerificationService,
    private readonly findings: IntegrityFindingsService,
    private readonly orphanFindings: OrphanFindingsService,
    private readonly store: ObjectStore,
  ) {}

  /** The bucket that is compared. */
  get bucket(): string {
    return this.config.contentBucket;
  }

  /** Steps for the keys of the bucket and of the rows. The cursor is the last key that was compared. */
  async *keySteps(context: TaskContext): AsyncGenerator<TaskStep> {
    const bucket = this.config.contentBucket;
    const { signal, cursor } = context;
    const list = (after: string, limit: number) =>
      this.store.list({ bucket, after: after === '' ? undefined : after }, limit, { signal });
    const rows = (after: string, limit: number) => this.orphans.recordedPage(bucket, after, limit);
    for await (const pairs of comparePages(list, rows, PAGE, cursor ?? '')) {
      yield* await this.stepsOf(pairs, context);
    }
  }

  /** Steps for LIVE objects whose copy has no row. The cursor is the id of the last object. */
  async *lostRowSteps(context: TaskContext): AsyncGenerator<TaskStep> {
    let after = BigInt(context.cursor ?? 0);
    for (;;) {
      const { last, examined, lost } = await this.orphans.withoutCopy(after, PAGE);
      if (last === null) return;
      for (const id of lost.map(BigInt)) {
        const examine = async () =>
          (await this.orphans.isWithoutCopy(id))
            ? this.verify(id, 'The row of its copy is lost.', context)
            : null;
        yield { cursor: String(id), examined: 0, subject: { storedObject: String(id) }, examine };
      }
      yield { cursor: String(last), examined };
      after = last;
    }
  }

  private async stepsOf(pairs: readonly Pair<ContentRow>[], context: TaskContext): Promise<TaskStep[]> {
    const { contentBucket: bucket } = this.config;
    const before = orphansBefore(context.now, this.config);
    const steps = new Map<string, TaskStep>();
    const foreign: string[] = [];
    const old: OwnObject[] = [];
    for (const { key, object, row } of pairs) {
      if (row !== null) {
        if (differs(row, object)) steps.set(key, this.differenceStep(row, context));
        continue;
      }
      if (object === null || key === INSTALLATION_KEY) continue;
      const content = parseContentKey(key);
      if (content === null && parseVariantKey(key) === null) foreign.push(key);
      else if (object.createdAt < before) old.push({ object, content });
    }
    for (const orphan of await this.unrecorded(old)) {
      steps.set(orphan.object.key, this.orphanStep(orphan, context));
    }
    const reports = await this.orphanFindings.foreignSteps(bucket, foreign, context.now);
    for (const [index, step] of reports.entries()) steps.set(foreign[index]!, step);
    return inOrder(pairs, steps);
  }

  /** Those of the objects that have no row now: a listing and a page of rows are not read at the same time. */
  private async unrecorded(objects: readonly OwnObject[]): Promise<OwnObject[]> {
    if (objects.length === 0) return [];
    const keys = objects.map(({ object: { key }, content }) => ({ key, content }));
    const unrecorded = await this.orphans.unrecorded(this.config.contentBucket, keys);
    return objects.filter(({ object: { key } }) => unrecorded.has(key));
  }

  private orphanStep({ object, content }: OwnObject, { now, signal }: TaskContext): TaskStep {
    const { bucket, key } = object;
    const subject = keySubject(object);
    const perform = async () => {
      const isDeleted =
        content === null
          ? await this.removal.removeVariant(object, signal)
          : await this.removal.removeContent({ ...object, ...content }, signal);
      if (isDeleted) await this.orphanFindings.reportDeleted(object, now);
      return isDeleted;
    };
    return { subject: { bucket, key }, examine: () => ({ action: 'delete', subject, perform }) };
  }

  private differenceStep({ key, storedObjectId }: ContentRow, context: TaskContext): TaskStep {
    return {
      subject: { storedObject: String(storedObjectId) },
      examine: async () => {
        const at = { bucket: this.config.contentBucket, key };
        const row = await this.orphans.recorded(at);
        if (row === null) return null;
        const object = await this.store.stat(at, { signal: context.signal });
        if (!differs(row, object)) return null;
        if (row.spec !== null) return this.rebuild(row, object, context);
        return this.verify(row.storedObjectId, differenceOf(row, object).detail, context);
      },
    };
  }

  private verify(id: bigint, detail: string, { now, signal }: TaskContext): TaskAction {
    const perform = async () => {
      const result = await this.verification.verify(id, now, signal);
      return result === 'repaired' || result === 'damaged';
    };
    return { action: 'verify', subject: `object ${id}`, detail, perform };
  }

  private rebuild(
    row: ContentRow,
    object: ObjectStat | null,
    { now, signal }: TaskContext,
  ): TaskAction | null {
    // A worker builds the variants of this object at present, or has failed to less than an hour ago.
    if (row.claimedUntil !== null && row.claimedUntil > now) return null;
    const { storedObjectId, spec, key: objectKey } = row;
    const { contentBucket: bucket } = this.config;
    const subject = `variant ${storedObjectId}/${spec}`;
    const difference = differenceOf(row, object);
    const perform = async () => {
      if (!(await this.removal.resetVariant(row, object, now, signal))) return false;
      const finding = { ...difference, subject, bucket, objectKey, storedObjectId, repaired: true };
      await this.findings.report(finding, now);
      return true;
    };
    return { action: 'rebuild', subject, detail: difference.detail, perform };
  }
}

/** Whether the object is not as its row says. Rows of other states are being written or removed. */
function differs(row: ContentRow, object: ObjectStat | null): boolean {
  // The bytes of a CORRUPT object are back, or could not be deleted.
  if (row.state === 'CORRUPT') return row.spec === null && object !== null;
  if (row.state !== 'LIVE') return false;
  // A variant without a version is being written.
  if (row.version === null) return row.spec === null;
  return (
    object === null ||
    object.version !== row.version ||
    BigInt(object.sizeBytes) !== row.sizeBytes ||
    (row.crc32c !== null && object.crc32c !== null && object.crc32c !== row.crc32c) ||
    object.contentType !== row.contentType ||
    object.contentEncoding !== null
  );
}

function differenceOf(row: ContentRow, object: ObjectStat | null) {
  if (object === null) return { problem: 'MISSING', detail: 'The object does not exist.' } as const;
  if (object.version !== row.version) {
    const recorded = row.version === null ? 'although none is recorded' : `instead of ${row.version}`;
    const detail = `The object has the version ${object.version} ${recorded}.`;
    return { problem: 'GENERATION_CHANGED', detail } as const;
  }
  if (BigInt(object.sizeBytes) !== row.sizeBytes) {
    const detail = `The object has another size than ${row.sizeBytes} bytes: ${object.sizeBytes}.`;
    return { problem: 'SIZE_CHANGED', detail } as const;
  }
  return {
    problem: 'CORRUPT',
    detail: 'The checksum, content type or encoding of the object has changed.',
  } as const;
}

/**
 * Orders the steps by their keys and counts all pairs. Only keys that Stowage created are cursors: others may be longer, or contain
 * characters that the database cannot store.
 */
function inOrder(pairs: readonly Pair<ContentRow>[], steps: ReadonlyMap<string, TaskStep>): TaskStep[] {
  const ordered: TaskStep[] = [];
  let examined = 0;
  let cursor: string | undefined;
  for (const { key } of pairs) {
    examined += 1;
    if (parseContentKey(key) !== null || parseVariantKey(key) !== null) cursor = key;
    const step = steps.get(key);
    if (step === undefined) continue;
    ordered.push({ ...step, cursor, examined });
    examined = 0;
  }
  if (examined > 0) ordered.push({ cursor, examined });
  return ordered;
}
