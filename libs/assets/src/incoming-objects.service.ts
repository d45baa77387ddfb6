import { Injectable } from '@nestjs/common';
import { Database, type Statement } from '#libs/database';
import { incomingKey, type ObjectRef } from '#libs/domain';
import { type ObjectStat, ObjectStore } from '#libs/storage';
import { AssetsConfig } from './assets.config.js';

const RECORD_DISCARD: Statement<never> = {
  name: 'assets_incoming_settled',
  text: `update media_assets set incoming_present = upload_deadline_at > $2,
      next_check_at = greatest(next_check_at, upload_deadline_at)
    where asset_id = $1 and status not in ('PENDING', 'PROCESSING')`,
};

/** Objects that clients wrote to the incoming bucket. They stay there until the asset is stored or rejected. */
@Injectable()
export class IncomingObjectsService {
  constructor(
    private readonly config: AssetsConfig,
    private readonly store: ObjectStore,
    private readonly database: Database,
  ) {}

  refOf(assetId: string): ObjectRef {
    return { bucket: this.config.incomingBucket, key: incomingKey(assetId) };
  }

  /** The current object of an asset, read from storage. @returns null when there is none */
  stat(assetId: string): Promise<ObjectStat | null> {
    return this.store.stat(this.refOf(assetId));
  }

  /** Deletes this generation only. */
  async delete(assetId: string, generation: string): Promise<void> {
    await this.store.delete({ ...this.refOf(assetId), version: generation });
  }

  /**
   * Deletes the incoming object of an asset that no longer needs one: the claimed generation and a later one, if any. Clients may
   * upload again until the deadline, so the next sweep of the row is due then. Can be repeated.
   */
  async discard(assetId: string, claimed: string | null, now: Date): Promise<void> {
    if (claimed !== null) await this.delete(assetId, claimed);
    const late = await this.stat(assetId);
    if (late !== null) await this.delete(assetId, late.version);
    await this.database.query(RECORD_DISCARD, [assetId, now]);
  }
}
