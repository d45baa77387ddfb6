import { Inject, Injectable } from '@nestjs/common';
import { Database, type Statement } from '#libs/database';
import { incomingKey, type ObjectRef } from '#libs/domain';
import { type ObjectStat, ObjectStore } from '#libs/storage';
import { ASSETS_OPTIONS, type AssetsOptions } from './assets.options.js';

const SETTLED: Statement<never> = {
  name: 'assets_incoming_settled',
  text: `update media_assets set incoming_present = upload_deadline_at > $2,
      next_check_at = greatest(next_check_at, upload_deadline_at)
    where asset_id = $1 and status not in ('PENDING', 'PROCESSING')`,
};

/** What clients wrote, until it is stored or refused. */
@Injectable()
export class IncomingObjectsService {
  constructor(
    @Inject(ASSETS_OPTIONS) private readonly options: AssetsOptions,
    private readonly store: ObjectStore,
    private readonly database: Database,
  ) {}

  refOf(assetId: string): ObjectRef {
    return { bucket: this.options.incomingBucket, key: incomingKey(assetId) };
  }

  /** What storage itself says is there now. */
  stat(assetId: string): Promise<ObjectStat | null> {
    return this.store.stat(this.refOf(assetId));
  }

  /** Deletes this generation and no other. */
  async delete(assetId: string, generation: string): Promise<void> {
    await this.store.delete({ ...this.refOf(assetId), version: generation });
  }

  /**
   * Nobody needs the incoming object of a settled asset: the claimed generation goes, and whatever came after it. While
   * its ticket lives bytes may come once more, so that a sweeper looks again at the deadline. Repeatable.
   */
  async discard(assetId: string, claimed: string | null, now: Date): Promise<void> {
    if (claimed !== null) await this.delete(assetId, claimed);
    const late = await this.stat(assetId);
    if (late !== null) await this.delete(assetId, late.version);
    await this.database.query(SETTLED, [assetId, now]);
  }
}
