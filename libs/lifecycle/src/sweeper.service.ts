import { Injectable } from '@nestjs/common';
import { PinoLogger } from 'nestjs-pino';
import { Assets, AssetTransitions, IncomingObjects, StoredObjects } from '#libs/assets';
import { Jobs } from '#libs/jobs';
import { Arrivals } from '#libs/upload';
import { SweeperRepository, type Unfinished } from './sweeper.repository.js';

const BATCH = 100;

/** What one sweep came to. */
export interface Sweep {
  readonly examined: number;
  readonly failed: number;
}

/**
 * Nothing waits for ever: events and jobs get lost, clients go away, workers die. A sweep takes what is due (each only
 * once among any number of workers), asks storage for the truth and brings the asset to its next step.
 */
@Injectable()
export class Sweeper {
  constructor(
    private readonly repository: SweeperRepository,
    private readonly assets: Assets,
    private readonly transitions: AssetTransitions,
    private readonly incoming: IncomingObjects,
    private readonly objects: StoredObjects,
    private readonly arrivals: Arrivals,
    private readonly jobs: Jobs,
    private readonly logger: PinoLogger,
  ) {
    logger.setContext(Sweeper.name);
  }

  /** PENDING whose event was lost or whose deadline passed, PROCESSING that went silent, FAILED that nobody revived. */
  async sweepUnfinished(now: Date): Promise<Sweep> {
    const unfinished = await this.repository.takeUnfinished(now, BATCH);
    return this.each(unfinished, nameAsset, (asset) => this.advance(asset, now));
  }

  /** Incoming objects that nobody needs any more and that were not deleted when that came true. */
  async sweepWaste(now: Date): Promise<Sweep> {
    const waste = await this.repository.takeWaste(now, BATCH);
    return this.each(waste, nameAsset, ({ assetId, claimedGeneration }) =>
      this.incoming.discard(assetId, claimedGeneration, now),
    );
  }

  /** Stored objects that nobody points at any more. */
  async sweepObjects(now: Date): Promise<Sweep> {
    const ids = await this.objects.collectable(now, BATCH);
    const nameObject = (id: bigint) => ({ storedObject: String(id) });
    return this.each(ids, nameObject, async (id) => {
      if (await this.objects.collect(id, now)) this.logger.info(nameObject(id), 'object collected');
    });
  }

  private async advance({ assetId, status, version }: Unfinished, now: Date): Promise<void> {
    if (status === 'PENDING') {
      if ((await this.arrivals.look(assetId)) !== 'nothing-there') return;
      const asset = await this.assets.load(assetId);
      if (asset === null || asset.uploadDeadlineAt > now) return;
      if (await this.transitions.expire(asset, now)) {
        this.logger.info({ assetId, reqId: asset.requestId }, 'upload expired');
      }
      return;
    }
    const asset = await this.assets.load(assetId);
    if (asset !== null && status === 'FAILED') {
      if (await this.transitions.lapse({ ...asset, version }, now)) {
        this.logger.info({ assetId, reqId: asset.requestId }, 'failed upload given up');
      }
      return;
    }
    if (asset?.status !== 'PROCESSING' || asset.claimedGeneration === null) return;
    const { claimedGeneration: generation, attempt, requestId } = asset;
    await this.jobs.process({ assetId, generation, attempt, requestId });
  }

  private async each<Row>(
    rows: readonly Row[],
    nameOf: (row: Row) => object,
    work: (row: Row) => Promise<void>,
  ): Promise<Sweep> {
    let failed = 0;
    for (const row of rows) {
      try {
        await work(row);
      } catch (err) {
        failed += 1;
        this.logger.warn({ err, ...nameOf(row) }, 'not swept; it comes up again');
      }
    }
    return { examined: rows.length, failed };
  }
}

const nameAsset = ({ assetId }: { assetId: string }) => ({ assetId });
