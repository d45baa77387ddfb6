import { Injectable } from '@nestjs/common';
import { PinoLogger } from 'nestjs-pino';
import {
  AssetJobsService,
  AssetsService,
  AssetTransitionsService,
  type DueAsset,
  DueAssetsRepository,
  IncomingObjectsService,
} from '#libs/assets';
import { CollectionService, StoredObjectsRepository } from '#libs/content';
import { kindOf } from '#libs/domain';
import { StowageTask, type TaskContext } from '#libs/runtime';
import { UploadCompletion } from '#libs/upload';

const INTERVAL = { seconds: 10 };
const BATCH = 100;
/** Rows that are handled concurrently. They mostly wait for storage, but share the database connections with other work. */
const MAX_CONCURRENT = 8;
/** Rows of one owner after which a sweep takes no further ones of that owner. They are left for the next sweep. */
const MAX_PER_OWNER = 1_000;

/** Result of one sweep. */
export interface Sweep {
  /** Rows that were handled, including failed ones. */
  readonly examined: number;
  readonly failed: number;
}

/** How the rows of a sweep are handled. */
interface Step<Row> {
  /** The sweep ends after a batch of which every row failed (`failures`) or, by default, failed with `unavailable`. */
  readonly endsAt?: 'failures';
  /** Log fields that identify the row. */
  readonly fieldsOf: (row: Row) => object;
  readonly work: (row: Row) => Promise<void>;
}

/**
 * Advances assets whose event, job, client or worker was lost, so that every asset reaches a terminal state. A sweep takes the rows
 * that are due in batches, each row by one worker only, checks storage and performs the next transition. It limits the rows per
 * owner, so that a large owner does not delay others, and ends early when it is aborted.
 */
@Injectable()
export class SweeperService {
  constructor(
    private readonly due: DueAssetsRepository,
    private readonly assets: AssetsService,
    private readonly transitions: AssetTransitionsService,
    private readonly incoming: IncomingObjectsService,
    private readonly objects: StoredObjectsRepository,
    private readonly collection: CollectionService,
    private readonly completion: UploadCompletion,
    private readonly jobs: AssetJobsService,
    private readonly logger: PinoLogger,
  ) {
    logger.setContext(SweeperService.name);
  }

  @StowageTask('unfinished', INTERVAL)
  unfinished({ now, signal }: TaskContext): Promise<Sweep> {
    return this.sweepUnfinished(now, signal);
  }

  @StowageTask('abandoned', INTERVAL)
  abandoned({ now, signal }: TaskContext): Promise<Sweep> {
    return this.sweepAbandoned(now, signal);
  }

  @StowageTask('objects', INTERVAL)
  unreferencedObjects({ now, signal }: TaskContext): Promise<Sweep> {
    return this.sweepObjects(now, signal);
  }

  /** Handles PENDING assets with a lost event or a passed deadline, PROCESSING assets without progress and old FAILED assets. */
  sweepUnfinished(now: Date, signal?: AbortSignal): Promise<Sweep> {
    const take = (excluded: bigint[]) => this.due.takeUnfinished(now, BATCH, excluded);
    return this.sweepFairly(take, (asset) => this.advance(asset, now), signal);
  }

  /**
   * Deletes incoming objects of terminal assets that were not deleted after the transition. Most do not exist any more, so one
   * request for the current generation suffices.
   */
  sweepAbandoned(now: Date, signal?: AbortSignal): Promise<Sweep> {
    const take = (excluded: bigint[]) => this.due.takeAbandoned(now, BATCH, excluded);
    return this.sweepFairly(take, ({ assetId }) => this.incoming.discard(assetId, null, now), signal);
  }

  /** Deletes stored objects without references. */
  sweepObjects(now: Date, signal?: AbortSignal): Promise<Sweep> {
    const take = () => this.objects.collectable(now, BATCH);
    const fieldsOf = (id: bigint) => ({ storedObject: String(id) });
    const work = async (id: bigint) => {
      if (await this.collection.collect(id, now, signal)) this.logger.info(fieldsOf(id), 'object collected');
    };
    // The query may return failed objects again at once, since it does not postpone them as the other sweeps do.
    return this.sweep(take, { fieldsOf, work, endsAt: 'failures' }, signal);
  }

  private async advance({ assetId, status, version }: DueAsset, now: Date): Promise<void> {
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
        this.logger.info({ assetId, reqId: asset.requestId }, 'failed upload expired');
      }
      return;
    }
    if (asset?.status === 'PROCESSING') await this.jobs.enqueueMissing(asset);
  }

  private sweepFairly(
    take: (excluded: bigint[]) => Promise<DueAsset[]>,
    work: (row: DueAsset) => Promise<void>,
    signal?: AbortSignal,
  ): Promise<Sweep> {
    const taken = new Map<bigint, number>();
    const takeNext = async () => {
      const excluded = [...taken].filter(([, count]) => count >= MAX_PER_OWNER).map(([ownerId]) => ownerId);
      const rows = await take(excluded);
      for (const { ownerId } of rows) taken.set(ownerId, (taken.get(ownerId) ?? 0) + 1);
      return rows;
    };
    return this.sweep(takeNext, { fieldsOf: ({ assetId }) => ({ assetId }), work }, signal);
  }

  private async sweep<Row>(
    take: () => Promise<Row[]>,
    step: Step<Row>,
    signal = new AbortController().signal,
  ): Promise<Sweep> {
    const sum = { examined: 0, failed: 0 };
    for (let isMore = true; isMore && !signal.aborted;) {
      const rows = await take();
      const { examined, failed, outages } = await this.runBatch(rows, step, signal);
      sum.examined += examined;
      sum.failed += failed;
      // While a dependency is down, do not take and postpone further rows.
      isMore = rows.length === BATCH && (step.endsAt === 'failures' ? failed : outages) < BATCH;
    }
    return sum;
  }

  /** @returns counts of rows; `outages` counts failures because of unavailable dependencies */
  private async runBatch<Row>(rows: readonly Row[], { work, fieldsOf }: Step<Row>, signal: AbortSignal) {
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
          this.logger.warn({ err, ...fieldsOf(row) }, 'sweep of a row failed, will be retried');
        }
      }
    };
    await Promise.all(Array.from({ length: MAX_CONCURRENT }, run));
    return sum;
  }
}
