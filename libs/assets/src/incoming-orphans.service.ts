import { Injectable } from '@nestjs/common';
import { ContentConfig, keySubject, OrphanFindingsService, orphansBefore } from '#libs/content';
import { Database, type MediaAsset, statement } from '#libs/database';
import { assetIdOfIncomingKey } from '#libs/domain';
import { inPages, type TaskContext, type TaskStep } from '#libs/runtime';
import { type ObjectStat, ObjectStore } from '#libs/storage';
import { AssetsConfig } from './assets.config.js';

const PAGE = 1_000;

export const EXISTING_ASSETS = statement<Pick<MediaAsset, 'assetId'>>(
  'assets_existing',
  `select asset_id as "assetId" from media_assets where asset_id = any($1::uuid[])`,
);

/**
 * Deletes objects of the incoming bucket whose asset does not exist. Rows are not compared with the bucket: most assets have no
 * incoming object, and `reconcile-uploads` checks those that may have one.
 */
@Injectable()
export class IncomingOrphansService {
  constructor(
    private readonly config: AssetsConfig,
    private readonly contentConfig: ContentConfig,
    private readonly database: Database,
    private readonly store: ObjectStore,
    private readonly findings: OrphanFindingsService,
  ) {}

  /** Steps for the keys of the bucket. The cursor is the last asset id that was compared. */
  async *steps(context: TaskContext): AsyncGenerator<TaskStep> {
    const { now, signal, cursor } = context;
    const { incomingBucket: bucket } = this.config;
    const before = orphansBefore(now, this.contentConfig);
    const read = (last?: ObjectStat) =>
      this.store.list({ bucket, after: last?.key ?? cursor ?? undefined }, PAGE, { signal });
    for await (const objects of inPages(PAGE, read)) {
      const [own, foreign] = [[] as ObjectStat[], [] as string[]];
      for (const object of objects) {
        if (assetIdOfIncomingKey(object.key) === null) foreign.push(object.key);
        else own.push(object);
      }
      const existing = await this.existing(own.map(({ key }) => key));
      for (const object of own) {
        if (!existing.has(object.key) && object.createdAt < before) yield this.orphanStep(object, context);
      }
      for (const step of await this.findings.foreignSteps(bucket, foreign, now)) {
        yield { ...step, examined: 0 };
      }
      yield { cursor: own.at(-1)?.key, examined: objects.length };
    }
  }

  private orphanStep(object: ObjectStat, { now, signal }: TaskContext): TaskStep {
    const { bucket, key } = object;
    const subject = keySubject(object);
    const perform = async () => {
      if ((await this.existing([key])).has(key)) return false;
      const isDeleted = await this.store.delete(object, { signal });
      if (isDeleted) await this.findings.reportDeleted(object, now);
      return isDeleted;
    };
    return {
      cursor: key,
      examined: 0,
      subject: { bucket, key },
      examine: () => ({ action: 'delete', subject, perform }),
    };
  }

  private async existing(assetIds: readonly string[]): Promise<ReadonlySet<string>> {
    if (assetIds.length === 0) return new Set();
    const rows = await this.database.query(EXISTING_ASSETS, [assetIds]);
    return new Set(rows.map(({ assetId }) => assetId));
  }
}
