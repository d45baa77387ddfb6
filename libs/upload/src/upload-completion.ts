import { Injectable } from '@nestjs/common';
import { PinoLogger } from 'nestjs-pino';
import {
  type Asset,
  AssetJobsService,
  AssetsService,
  AssetsConfig,
  AssetTransitionsService,
  type Claim,
  type Claimed,
  IncomingObjectsService,
  IncomingSessionsService,
} from '#libs/assets';
import { Batcher, Clock } from '#libs/database';
import { assetIdCreatedAt, assetIdOfIncomingKey, STATUSES_WITHOUT_INCOMING_OBJECT } from '#libs/domain';
import type { ObjectStat } from '#libs/storage';
import { UploadMetrics } from './upload-metrics.js';

/**
 * Outcome of checking storage for the object of an asset. `early`: the asset does not exist, but its row may still be committed,
 * so the caller checks again later.
 */
export type CheckOutcome = 'claimed' | 'known' | 'discarded' | 'nothing-there' | 'early' | 'unknown-asset';

/** A row becomes visible within seconds after its id was created, or never. The rest allows for clock offsets. */
const ROW_VISIBLE_WITHIN_MS = 10 * 60_000;

/**
 * Claims that are requested while a batch runs share the next one: a statement, a job and a commit per object would cost more than
 * half of processing a small file. One batch at a time also bounds the database connections of claims.
 */
const CLAIM_BATCHES = { atOnce: 1, most: 100 };

/** Detects uploaded objects, after an event, a client's call or by a task: claims their generation and enqueues a job. */
@Injectable()
export class UploadCompletion {
  private readonly claims: Batcher<Claim, Claimed | null>;

  constructor(
    { claimBatches = CLAIM_BATCHES }: AssetsConfig,
    private readonly assets: AssetsService,
    private readonly transitions: AssetTransitionsService,
    private readonly incoming: IncomingObjectsService,
    private readonly sessions: IncomingSessionsService,
    private readonly clock: Clock,
    private readonly jobs: AssetJobsService,
    private readonly metrics: UploadMetrics,
    private readonly logger: PinoLogger,
  ) {
    logger.setContext(UploadCompletion.name);
    this.claims = new Batcher((claims) => this.claim(claims), claimBatches);
  }

  /**
   * Checks storage for the object of an asset. The first generation that is found while the asset is PENDING is claimed; an object
   * that the asset does not need is deleted. Trusts only storage, not the caller's claim that bytes exist. Can be repeated.
   * @param key name of the incoming object, which is the asset id for uploads of this service
   * @throws StowageError unavailable
   */
  async checkObject(key: string, now = this.clock.now()): Promise<CheckOutcome> {
    const assetId = assetIdOfIncomingKey(key);
    return this.count(this.handle(assetId, await this.objectOf(assetId), now));
  }

  /**
   * {@link checkObject} for several keys: reads all objects from storage first, so that one statement claims and one enqueues those
   * that exist. Failures are independent of each other.
   */
  async checkObjects(
    keys: readonly string[],
    now = this.clock.now(),
  ): Promise<PromiseSettledResult<CheckOutcome>[]> {
    const assetIds = keys.map(assetIdOfIncomingKey);
    const objects = await Promise.allSettled(assetIds.map((assetId) => this.objectOf(assetId)));
    return Promise.allSettled(
      objects.map(async (object, index) => {
        if (object.status === 'rejected') throw object.reason;
        return this.count(this.handle(assetIds[index]!, object.value, now));
      }),
    );
  }

  /**
   * Cancels a PENDING upload: ends its session, then releases its reservation and deletes an existing object. The task at the
   * deadline deletes an object that a PUT writes later.
   * @returns false when the asset has changed since it was read
   * @throws StowageError unavailable, in which case the reservation is kept
   */
  async cancel(asset: Asset, now: Date): Promise<boolean> {
    await this.sessions.end(asset, now);
    if (!(await this.transitions.cancel(asset, now))) return false;
    this.logger.info({ assetId: asset.id }, 'upload cancelled');
    try {
      await this.incoming.discard(asset.id, null, now);
    } catch (err) {
      this.logger.warn({ err, assetId: asset.id }, 'incoming object not deleted yet');
    }
    return true;
  }

  /**
   * Expires an upload whose deadline has passed. Its session is ended first; an object that was completed in time is still claimed.
   * @returns false when there was an object, or the asset has changed since it was read
   * @throws StowageError unavailable
   */
  async expire(asset: Asset, now: Date): Promise<boolean> {
    const hadSession = await this.sessions.end(asset, now);
    if (hadSession && (await this.checkObject(asset.id, now)) !== 'nothing-there') return false;
    return this.transitions.expire(asset, now);
  }

  private async count(check: Promise<CheckOutcome>): Promise<CheckOutcome> {
    const outcome = await check;
    this.metrics.checked(outcome);
    return outcome;
  }

  private async objectOf(assetId: string | null): Promise<ObjectStat | null> {
    return assetId === null ? null : this.incoming.stat(assetId);
  }

  private async handle(assetId: string | null, object: ObjectStat | null, now: Date): Promise<CheckOutcome> {
    if (assetId === null) return 'unknown-asset';
    if (object === null) return 'nothing-there';
    const generation = object.version;
    const claimed = await this.claims.run({ assetId, generation, now });
    if (claimed === null) return this.handleUnclaimed(assetId, generation, now);
    this.metrics.received((now.getTime() - claimed.createdAt.getTime()) / 1000);
    this.logger.info({ assetId, reqId: claimed.requestId }, 'upload received');
    return 'claimed';
  }

  private async claim(claims: readonly Claim[]): Promise<(Claimed | null)[]> {
    const claimed = await this.transitions.claim(claims);
    const assets = claimed.flatMap((found, index) => {
      const { assetId: id, generation: claimedGeneration } = claims[index]!;
      return found === null ? [] : [{ ...found, id, claimedGeneration }];
    });
    await this.jobs.enqueue(assets);
    return claimed;
  }

  /** Handles an object whose asset is not PENDING. */
  private async handleUnclaimed(assetId: string, generation: string, now: Date): Promise<CheckOutcome> {
    const asset = await this.assets.findWithoutAccessCheck(assetId);
    if (asset === null) return this.handleOrphan(assetId, generation, now);
    const isClaimed = asset.claimedGeneration === generation;
    if (asset.status === 'PROCESSING' && isClaimed) {
      // The process that claimed the object may have crashed before it enqueued the job.
      await this.jobs.enqueueMissing(asset);
      return 'known';
    }
    if (isClaimed && !STATUSES_WITHOUT_INCOMING_OBJECT.includes(asset.status)) return 'known';
    await this.incoming.delete(assetId, generation);
    this.logger.info({ assetId, reqId: asset.requestId, status: asset.status }, 'late object deleted');
    return 'discarded';
  }

  /**
   * Handles an object without an asset. The object of a purged asset, whose URL is still valid, is deleted at once. Otherwise the row
   * is not visible yet, or this database never had it, as after a restore: then the task `collect-orphans` decides.
   */
  private async handleOrphan(assetId: string, generation: string, now: Date): Promise<CheckOutcome> {
    if (await this.assets.wasPurged(assetId)) {
      await this.incoming.delete(assetId, generation);
      this.logger.info({ assetId }, 'object of a purged asset deleted');
      return 'discarded';
    }
    const createdAt = assetIdCreatedAt(assetId);
    if (createdAt === null) return 'unknown-asset';
    return now.getTime() < createdAt + ROW_VISIBLE_WITHIN_MS ? 'early' : 'unknown-asset';
  }
}
