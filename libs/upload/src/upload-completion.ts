import { Inject, Injectable } from '@nestjs/common';
import { PinoLogger } from 'nestjs-pino';
import {
  type Asset,
  AssetJobsService,
  AssetsService,
  ASSETS_OPTIONS,
  type AssetsOptions,
  AssetTransitionsService,
  type Claim,
  type Claimed,
  IncomingObjectsService,
  IncomingSessionsService,
} from '#libs/assets';
import { Batcher, Clock } from '#libs/database';
import { assetIdMadeAt, assetIdOfIncomingKey, INCOMING_IS_WASTE } from '#libs/domain';
import type { ObjectStat } from '#libs/storage';
import { UploadMetrics } from './upload-metrics.js';

/**
 * What the arrival of bytes (or the rumour of it) came to. `early`: there is no such asset, and it is too soon to say that
 * there never will be; ask again later.
 */
export type CheckOutcome = 'claimed' | 'known' | 'discarded' | 'nothing-there' | 'early' | 'unknown-asset';

/** A row is seen by all in seconds from when its id was made, or never; the rest is for clocks that differ. */
const ROW_SEEN_WITHIN_MS = 10 * 60_000;

/**
 * Claims that come while one batch is on its way are made together: a statement, a job and a commit for each object would cost
 * more than half of what processing a small file does. One batch at a time also bounds the connections of intake.
 */
const CLAIM_BATCHES = { atOnce: 1, most: 100 };

/** "The bytes are here": from an event, a client or a sweeper to a claimed generation and a job. */
@Injectable()
export class UploadCompletion {
  private readonly claims: Batcher<Claim, Claimed | null>;

  constructor(
    @Inject(ASSETS_OPTIONS) { claimBatches = CLAIM_BATCHES }: AssetsOptions,
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
   * Whoever says that bytes arrived, what is believed is storage's own answer. The first generation that is seen while
   * the asset waits is claimed, and whatever else lies there serves nobody. Repeatable.
   * @throws StowageError unavailable
   */
  async checkObject(key: string, now = this.clock.now()): Promise<CheckOutcome> {
    const assetId = assetIdOfIncomingKey(key);
    return this.counted(this.arrived(assetId, await this.objectOf(assetId), now));
  }

  /**
   * {@link look} for several at once: storage is asked for all of them first, so that the objects that are there are claimed
   * and enqueued in one statement each. One failure leaves the others alone.
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
        return this.counted(this.arrived(assetIds[index]!, object.value, now));
      }),
    );
  }

  /**
   * Calls off an upload that waits for bytes: its session is ended, then its reservation is released. Bytes that are there are
   * deleted at once; a sweeper finds at the deadline what a PUT still brings.
   * @returns false when the asset was not as it had been seen
   * @throws StowageError unavailable: nothing is released
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
   * Gives up an upload whose deadline passed. Its session is ended first; bytes that came in time still count.
   * @returns false when bytes were there, or the asset was not as it had been seen
   * @throws StowageError unavailable
   */
  async expire(asset: Asset, now: Date): Promise<boolean> {
    const hadSession = await this.sessions.end(asset, now);
    if (hadSession && (await this.checkObject(asset.id, now)) !== 'nothing-there') return false;
    return this.transitions.expire(asset, now);
  }

  private async counted(finding: Promise<CheckOutcome>): Promise<CheckOutcome> {
    const arrival = await finding;
    this.metrics.arrived(arrival);
    return arrival;
  }

  private async objectOf(assetId: string | null): Promise<ObjectStat | null> {
    return assetId === null ? null : this.incoming.stat(assetId);
  }

  private async arrived(assetId: string | null, object: ObjectStat | null, now: Date): Promise<CheckOutcome> {
    if (assetId === null) return 'unknown-asset';
    if (object === null) return 'nothing-there';
    const generation = object.version;
    const claimed = await this.claims.run({ assetId, generation, now });
    if (claimed === null) return this.settled(assetId, generation, now);
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

  /** Bytes for an asset that is not waiting for any. */
  private async settled(assetId: string, generation: string, now: Date): Promise<CheckOutcome> {
    const asset = await this.assets.findWithoutAccessCheck(assetId);
    if (asset === null) return this.unasked(assetId, generation, now);
    const isClaimed = asset.claimedGeneration === generation;
    if (asset.status === 'PROCESSING' && isClaimed) {
      // A process that claimed it may have died before enqueueing.
      await this.jobs.enqueueMissing(asset);
      return 'known';
    }
    if (isClaimed && !INCOMING_IS_WASTE.includes(asset.status)) return 'known';
    await this.incoming.delete(assetId, generation);
    this.logger.info({ assetId, reqId: asset.requestId, status: asset.status }, 'late object deleted');
    return 'discarded';
  }

  /** Bytes for an asset that is not there: purged while its ticket lived, or not there yet. */
  private async unasked(assetId: string, generation: string, now: Date): Promise<CheckOutcome> {
    const madeAt = assetIdMadeAt(assetId);
    if (madeAt === null) return 'unknown-asset';
    if (now.getTime() < madeAt + ROW_SEEN_WITHIN_MS) return 'early';
    await this.incoming.delete(assetId, generation);
    this.logger.warn({ assetId }, 'object without an asset deleted');
    return 'discarded';
  }
}
