import { Injectable } from '@nestjs/common';
import { PinoLogger } from 'nestjs-pino';
import {
  AssetJobsService,
  AssetsService,
  AssetTransitionsService,
  IncomingObjectsService,
} from '#libs/assets';
import { StoredObjectsService } from '#libs/content';
import { kindOf } from '#libs/domain';
import { UploadCompletion } from '#libs/upload';
import { SweeperRepository, type Unfinished } from './sweeper.repository.js';

const BATCH = 100;
/** Rows at a time: mostly they wait for storage, but the pool of the database is not theirs alone. */
const AT_ONCE = 8;
/** What one owner gets of a sweep before all others have had theirs; the rest is for the next. */
const SHARE = 1_000;

/** What one sweep came to. */
export interface Sweep {
  readonly examined: number;
  readonly failed: number;
}

/** What becomes of each row that is due. */
interface Step<Row> {
  /** Of what a whole batch ends the sweep: of dependencies that are down, when nothing else is said. */
  readonly endsAt?: 'failures';
  readonly nameOf: (row: Row) => object;
  readonly work: (row: Row) => Promise<void>;
}

/**
 * Nothing waits for ever: events and jobs get lost, clients go away, workers die. A sweep takes what is due (each only
 * once among any number of workers), asks storage for the truth and brings the asset to its next step. It takes batch after
 * batch while there is more, but of no owner so much that others wait for it, and ends early when it is stopped.
 */
@Injectable()
export class SweeperService {
  constructor(
    private readonly repository: SweeperRepository,
    private readonly assets: AssetsService,
    private readonly transitions: AssetTransitionsService,
    private readonly incoming: IncomingObjectsService,
    private readonly objects: StoredObjectsService,
    private readonly completion: UploadCompletion,
    private readonly jobs: AssetJobsService,
    private readonly logger: PinoLogger,
  ) {
    logger.setContext(SweeperService.name);
  }

  /** PENDING whose event was lost or whose deadline passed, PROCESSING that went silent, FAILED that nobody revived. */
  sweepUnfinished(now: Date, signal?: AbortSignal): Promise<Sweep> {
    const take = (aside: string[]) => this.repository.takeUnfinished(now, BATCH, aside);
    return this.sweepFairly(take, (asset) => this.advance(asset, now), signal);
  }

  /**
   * Incoming objects that nobody needs any more and that were not deleted when that came true. Most are gone: to ask storage
   * what is there is enough, whichever generation that is.
   */
  sweepWaste(now: Date, signal?: AbortSignal): Promise<Sweep> {
    const take = (aside: string[]) => this.repository.takeWaste(now, BATCH, aside);
    return this.sweepFairly(take, ({ assetId }) => this.incoming.discard(assetId, null, now), signal);
  }

  /** Stored objects that nobody points at any more. */
  sweepObjects(now: Date, signal?: AbortSignal): Promise<Sweep> {
    const take = () => this.objects.collectable(now, BATCH);
    const nameOf = (id: bigint) => ({ storedObject: String(id) });
    const work = async (id: bigint) => {
      if (await this.objects.collect(id, now, signal)) this.logger.info(nameOf(id), 'object collected');
    };
    // What failed may come up again at once, unlike what was taken.
    return this.sweep(take, { nameOf, work, endsAt: 'failures' }, signal);
  }

  private async advance({ assetId, status, version }: Unfinished, now: Date): Promise<void> {
    if (status === 'PENDING') {
      if ((await this.completion.checkObject(assetId)) !== 'nothing-there') return;
      const asset = await this.assets.findWithoutAccessCheck(assetId);
      if (asset === null || asset.uploadDeadlineAt > now) return;
      if (await this.completion.expire(asset, now)) {
        this.logger.info({ assetId, reqId: asset.requestId }, 'upload expired');
      }
      return;
    }
    const asset = await this.assets.findWithoutAccessCheck(assetId);
    if (asset !== null && status === 'FAILED') {
      if (await this.transitions.lapse({ ...asset, version }, now)) {
        this.logger.info({ assetId, reqId: asset.requestId }, 'failed upload given up');
      }
      return;
    }
    if (asset?.status === 'PROCESSING') await this.jobs.enqueueMissing(asset);
  }

  private sweepFairly<Row extends { assetId: string; ownerId: string }>(
    take: (aside: string[]) => Promise<Row[]>,
    work: (row: Row) => Promise<void>,
    signal?: AbortSignal,
  ): Promise<Sweep> {
    const had = new Map<string, number>();
    const takeNext = async () => {
      const aside = [...had].filter(([, count]) => count >= SHARE).map(([ownerId]) => ownerId);
      const rows = await take(aside);
      for (const { ownerId } of rows) had.set(ownerId, (had.get(ownerId) ?? 0) + 1);
      return rows;
    };
    return this.sweep(takeNext, { nameOf: ({ assetId }) => ({ assetId }), work }, signal);
  }

  private async sweep<Row>(
    take: () => Promise<Row[]>,
    step: Step<Row>,
    signal = new AbortController().signal,
  ): Promise<Sweep> {
    const sum = { examined: 0, failed: 0 };
    for (let isMore = true; isMore && !signal.aborted;) {
      const rows = await take();
      const { examined, failed, outages } = await this.each(rows, step, signal);
      sum.examined += examined;
      sum.failed += failed;
      // When a dependency is down, what has been taken is enough to wait for its next turn.
      isMore = rows.length === BATCH && (step.endsAt === 'failures' ? failed : outages) < BATCH;
    }
    return sum;
  }

  /** `outages`: how often a dependency was down. */
  private async each<Row>(rows: readonly Row[], { work, nameOf }: Step<Row>, signal: AbortSignal) {
    const sum = { examined: 0, failed: 0, outages: 0 };
    const left = rows.values();
    const run = async () => {
      for (const row of left) {
        if (signal.aborted) return;
        sum.examined += 1;
        try {
          await work(row);
        } catch (err) {
          sum.failed += 1;
          if (kindOf(err) === 'unavailable') sum.outages += 1;
          this.logger.warn({ err, ...nameOf(row) }, 'not swept; it comes up again');
        }
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, run));
    return sum;
  }
}
