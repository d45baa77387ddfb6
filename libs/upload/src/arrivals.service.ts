import { Injectable } from '@nestjs/common';
import { PinoLogger } from 'nestjs-pino';
import { Assets, AssetTransitions, IncomingObjects } from '#libs/assets';
import { assetIdOfIncomingKey, INCOMING_IS_WASTE } from '#libs/domain';
import { Jobs } from '#libs/jobs';

/** What the arrival of bytes (or the rumour of it) came to. */
export type Arrival = 'claimed' | 'known' | 'discarded' | 'nothing-there' | 'unknown-asset';

/** "The bytes are here": from an event, a client or a sweeper to a claimed generation and a job. */
@Injectable()
export class Arrivals {
  constructor(
    private readonly assets: Assets,
    private readonly transitions: AssetTransitions,
    private readonly incoming: IncomingObjects,
    private readonly jobs: Jobs,
    private readonly logger: PinoLogger,
  ) {
    logger.setContext(Arrivals.name);
  }

  /**
   * Whoever says that bytes arrived, what is believed is storage's own answer. The first generation that is seen while
   * the asset waits is claimed, and whatever else lies there serves nobody. Repeatable.
   * @throws StowageError unavailable
   */
  async look(key: string): Promise<Arrival> {
    const assetId = assetIdOfIncomingKey(key);
    if (assetId === null) return 'unknown-asset';
    const object = await this.incoming.stat(assetId);
    if (object === null) return 'nothing-there';
    const generation = object.version;
    const claimed = await this.transitions.claim(assetId, generation, new Date());
    if (claimed === null) return this.settled(assetId, generation);
    await this.jobs.process({ assetId, generation, ...claimed });
    this.logger.info({ assetId, reqId: claimed.requestId }, 'upload received');
    return 'claimed';
  }

  /** Bytes for an asset that is not waiting for any. */
  private async settled(assetId: string, generation: string): Promise<Arrival> {
    const asset = await this.assets.load(assetId);
    if (asset === null) {
      // Purged while its ticket lived, or never asked for: no row will ever lead a sweeper here.
      await this.incoming.delete(assetId, generation);
      return 'unknown-asset';
    }
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

  /** What is there of a cancelled upload goes at once; what still comes, a sweeper finds at the deadline. */
  async discard(assetId: string): Promise<void> {
    try {
      await this.incoming.discard(assetId, null, new Date());
    } catch (err) {
      this.logger.warn({ err, assetId }, 'incoming object not deleted yet');
    }
  }
}
