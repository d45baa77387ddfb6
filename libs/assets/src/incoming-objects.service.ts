import { Injectable } from '@nestjs/common';
import { incomingKey, type ObjectRef } from '#libs/domain';
import { type ObjectStat, ObjectStore } from '#libs/storage';
import { AssetsConfig } from './assets.config.js';
import { IncomingRepository } from './incoming.repository.js';

/** Objects that clients wrote to the incoming bucket. They stay there until the asset is stored or rejected. */
@Injectable()
export class IncomingObjectsService {
  constructor(
    private readonly config: AssetsConfig,
    private readonly store: ObjectStore,
    private readonly repository: IncomingRepository,
  ) {}

  refOf(assetId: string): ObjectRef {
    return { bucket: this.config.incomingBucket, key: incomingKey(assetId) };
  }

  /** The current object of an asset, read from storage. @returns null when there is none */
  stat(assetId: string): Promise<ObjectStat | null> {
    return this.store.stat(this.refOf(assetId));
  }

  /** Records the expiry of a new ticket and extends the upload deadline. @returns false when the asset is no longer PENDING */
  extend(assetId: string, urlExpiresAt: Date, uploadDeadlineAt: Date, now: Date): Promise<boolean> {
    return this.repository.extend(assetId, urlExpiresAt, uploadDeadlineAt, now);
  }

  /** Deletes this generation only. */
  async delete(assetId: string, generation: string): Promise<void> {
    await this.store.delete({ ...this.refOf(assetId), version: generation });
  }

  /**
   * Deletes the incoming object of an asset that no longer needs one: the claimed generation and a later one, if any. Clients may
   * upload again until the deadline, so the next check of the row is due then. Can be repeated.
   * @returns whether an object other than the claimed one was deleted
   */
  async discard(assetId: string, claimed: string | null, now: Date): Promise<boolean> {
    if (claimed !== null) await this.delete(assetId, claimed);
    const late = await this.stat(assetId);
    if (late !== null) await this.delete(assetId, late.version);
    await this.repository.recordDiscard(assetId, now);
    return late !== null;
  }
}
