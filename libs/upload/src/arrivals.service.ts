import { Injectable } from '@nestjs/common';
import { PinoLogger } from 'nestjs-pino';
import { type Asset, Assets, AssetTransitions, IncomingObjects, IncomingSessions } from '#libs/assets';
import { assetIdMadeAt, assetIdOfIncomingKey, INCOMING_IS_WASTE } from '#libs/domain';
import { Jobs } from '#libs/jobs';
import { UploadMetrics } from './upload-metrics.js';

/**
 * What the arrival of bytes (or the rumour of it) came to. `early`: there is no such asset, and it is too soon to say that
 * there never will be; ask again later.
 */
export type Arrival = 'claimed' | 'known' | 'discarded' | 'nothing-there' | 'early' | 'unknown-asset';

/** A row is seen by all in seconds from when its id was made, or never; the rest is for clocks that differ. */
const ROW_SEEN_WITHIN_MS = 10 * 60_000;

/** "The bytes are here": from an event, a client or a sweeper to a claimed generation and a job. */
@Injectable()
export class Arrivals {
  constructor(
    private readonly assets: Assets,
    private readonly transitions: AssetTransitions,
    private readonly incoming: IncomingObjects,
    private readonly sessions: IncomingSessions,
    private readonly jobs: Jobs,
    private readonly metrics: UploadMetrics,
    private readonly logger: PinoLogger,
  ) {
    logger.setContext(Arrivals.name);
  }

  /**
   * Whoever says that bytes arrived, what is believed is storage's own answer. The first generation that is seen while
   * the asset waits is claimed, and whatever else lies there serves nobody. Repeatable.
   * @throws StowageError unavailable
   */
  async look(key: string, now = new Date()): Promise<Arrival> {
    const arrival = await this.find(key, now);
    this.metrics.arrived(arrival);
    return arrival;
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
    if (hadSession && (await this.look(asset.id, now)) !== 'nothing-there') return false;
    return this.transitions.expire(asset, now);
  }

  private async find(key: string, now: Date): Promise<Arrival> {
    const assetId = assetIdOfIncomingKey(key);
    if (assetId === null) return 'unknown-asset';
    const object = await this.incoming.stat(assetId);
    if (object === null) return 'nothing-there';
    const generation = object.version;
    const claimed = await this.transitions.claim(assetId, generation, now);
    if (claimed === null) return this.settled(assetId, generation, now);
    const { attempt, requestId } = claimed;
    await this.jobs.process({ assetId, generation, attempt, requestId });
    this.metrics.received((now.getTime() - claimed.createdAt.getTime()) / 1000);
    this.logger.info({ assetId, reqId: claimed.requestId }, 'upload received');
    return 'claimed';
  }

  /** Bytes for an asset that is not waiting for any. */
  private async settled(assetId: string, generation: string, now: Date): Promise<Arrival> {
    const asset = await this.assets.load(assetId);
    if (asset === null) return this.unasked(assetId, generation, now);
    const isClaimed = asset.claimedGeneration === generation;
    if (asset.status === 'PROCESSING' && isClaimed) {
      // Whoever claimed it may have died before enqueueing.
      await this.jobs.process({ assetId, generation, attempt: asset.attempt, requestId: asset.requestId });
      return 'known';
    }
    if (isClaimed && !INCOMING_IS_WASTE.includes(asset.status)) return 'known';
    await this.incoming.delete(assetId, generation);
    this.logger.info({ assetId, reqId: asset.requestId, status: asset.status }, 'late object deleted');
    return 'discarded';
  }

  /** Bytes for an asset that is not there: purged while its ticket lived, or not there yet. */
  private async unasked(assetId: string, generation: string, now: Date): Promise<Arrival> {
    const madeAt = assetIdMadeAt(assetId);
    if (madeAt === null) return 'unknown-asset';
    if (now.getTime() < madeAt + ROW_SEEN_WITHIN_MS) return 'early';
    await this.incoming.delete(assetId, generation);
    this.logger.warn({ assetId }, 'object without an asset deleted');
    return 'discarded';
  }
}
