import { Injectable } from '@nestjs/common';
import { PinoLogger } from 'nestjs-pino';
import {
  type Asset,
  AssetJobsService,
  AssetsService,
  AssetTransitionsService,
  IncomingObjectsService,
} from '#libs/assets';
import { ContentStore, type StoredContent } from '#libs/content';
import { Clock } from '#libs/database';
import {
  type AssetReceived,
  STATUSES_WITHOUT_INCOMING_OBJECT,
  kindOf,
  type ObjectVersion,
  type StatusReason,
  StowageError,
} from '#libs/domain';
import { backoffMs, PROCESS_QUEUE } from '#libs/queue';
import { ContentChecks, type CheckedContent } from './content-checks.js';
import { ProcessingMetrics } from './processing-metrics.js';
import { ReaderNeeded } from './reader-needed.js';

/** Attempts after which an asset with possibly temporary failures becomes FAILED. */
const MAX_ATTEMPTS = 5;
/** A stored object can be deleted between the copy and the reference; then the bytes are copied again. */
const MAX_STORE_ATTEMPTS = 3;

/** Processes claimed objects until their assets are READY, REJECTED or FAILED. */
@Injectable()
export class ProcessingService {
  constructor(
    private readonly assets: AssetsService,
    private readonly transitions: AssetTransitionsService,
    private readonly incoming: IncomingObjectsService,
    private readonly contentChecks: ContentChecks,
    private readonly contents: ContentStore,
    private readonly jobs: AssetJobsService,
    private readonly metrics: ProcessingMetrics,
    private readonly logger: PinoLogger,
    private readonly clock: Clock,
  ) {
    logger.setContext(ProcessingService.name);
  }

  /**
   * Processes one claimed generation. Can be repeated after a failure at any step: the work before the transition is repeatable,
   * and the transition happens once.
   * @throws StowageError unavailable when a dependency is down or `signal` aborts; then the job must run again
   */
  async process(job: AssetReceived, signal: AbortSignal): Promise<void> {
    await this.run(job, signal, true);
  }

  /**
   * Processes one claimed generation like {@link process}, unless its file needs a reader (a parser in a child process).
   * @returns false for a file that needs a reader, in which case the asset is unchanged
   * @throws StowageError unavailable
   */
  async processUninspected(job: AssetReceived, signal: AbortSignal): Promise<boolean> {
    try {
      await this.run(job, signal, false);
      return true;
    } catch (error) {
      if (error instanceof ReaderNeeded) return false;
      throw error;
    }
  }

  private async run(job: AssetReceived, signal: AbortSignal, mayInspect: boolean): Promise<void> {
    const asset = await this.assets.findWithoutAccessCheck(job.assetId);
    if (asset === null) return;
    if (STATUSES_WITHOUT_INCOMING_OBJECT.includes(asset.status)) {
      // The worker that ended PROCESSING may have crashed before it deleted the object.
      await this.incoming.discard(asset.id, asset.claimedGeneration, this.clock.now());
      return;
    }
    const isCurrent = asset.claimedGeneration === job.generation && asset.attempt === job.attempt;
    if (asset.status !== 'PROCESSING' || !isCurrent) return;
    const started = performance.now();
    try {
      const object = { ...this.incoming.refOf(asset.id), version: job.generation };
      const check = () => this.contentChecks.check(asset, object, { mayInspect, signal });
      const checked = await this.metrics.time('read', check);
      if (!(await this.accept(asset, object, checked, signal))) {
        this.metrics.ended('moot');
        return;
      }
      const ms = Math.round(performance.now() - started);
      this.metrics.becameReady(asset.sizeBytes, ms / 1000);
      this.logger.info({ ms, sizeBytes: asset.sizeBytes }, 'asset ready');
    } catch (error) {
      if (error instanceof ReaderNeeded) throw error;
      if (signal.aborted || kindOf(error) === 'unavailable') {
        this.metrics.ended('waiting');
        throw error;
      }
      if (!(await this.handleFailure(asset, error))) return;
    }
    await this.discard(asset);
  }

  /** Counts repeated crashes of workers on this job as one failed attempt. @param times number of crashes */
  async crashed(job: AssetReceived, times: number): Promise<void> {
    const asset = await this.assets.findWithoutAccessCheck(job.assetId);
    if (asset?.status !== 'PROCESSING' || asset.attempt !== job.attempt) return;
    await this.retry(asset, new Error(`the worker crashed ${times} times`));
  }

  private async accept(
    asset: Asset,
    from: ObjectVersion,
    { digest, renditions, getsVariants, variantsReason, ...found }: CheckedContent,
    signal: AbortSignal,
  ): Promise<boolean> {
    const scope = this.contents.scopeOf(asset.ownerId);
    for (let attempt = 0; attempt < MAX_STORE_ATTEMPTS; attempt++) {
      const store = async (): Promise<StoredContent | null> => {
        const stored = await this.contents.put(from, digest, scope, signal);
        const isWhole = await this.contents.putVariants(stored.objectId, digest, scope, renditions, signal);
        return isWhole ? stored : null;
      };
      const stored = await this.metrics.time('store', store);
      if (stored === null) continue;
      const specs = () =>
        variantsReason === null
          ? this.contents.specsOfVariants(digest, scope)
          : this.contents.specsOfProfiles();
      const variants = { variantSpecs: getsVariants ? await specs() : null, variantsReason };
      const accept = () =>
        this.transitions.accept(asset, { ...stored, ...found, ...variants }, this.clock.now());
      if (await this.metrics.time('settle', accept)) return true;
      const current = await this.assets.findWithoutAccessCheck(asset.id);
      if (current?.status !== 'PROCESSING' || current.version !== asset.version) return false;
    }
    throw new Error('the stored object was deleted before every attempt to reference it');
  }

  /** Retries, fails or rejects the asset. @returns whether it was rejected here, so that its incoming object can be deleted */
  private async handleFailure(asset: Asset, error: unknown): Promise<boolean> {
    if (!(error instanceof StowageError) || error.kind === 'internal') {
      await this.retry(asset, error);
      return false;
    }
    const { kind, reason: code, message } = error;
    if (kind !== 'rejected') {
      await this.fail(asset, error, message);
      return false;
    }
    const reason = { code: code as StatusReason['code'], message };
    const isRejected = await this.transitions.reject(asset, reason, this.clock.now());
    if (isRejected) this.metrics.rejected(code);
    else this.metrics.ended('moot');
    if (isRejected) this.logger.info({ code, message }, 'asset rejected');
    return isRejected;
  }

  private async retry(asset: Asset, err: unknown): Promise<void> {
    if (asset.attempt >= MAX_ATTEMPTS) {
      await this.fail(asset, err, 'Processing failed. An operator can retry it.');
      return;
    }
    this.logger.error({ err, attempt: asset.attempt }, 'processing failed, will be retried');
    if (!(await this.transitions.retry(asset, this.clock.now()))) return;
    this.metrics.ended('retried');
    const attempt = asset.attempt + 1;
    await this.jobs.enqueue([{ ...asset, attempt }], backoffMs(attempt));
  }

  private async fail(asset: Asset, err: unknown, message: string): Promise<void> {
    this.logger.error({ err, attempt: asset.attempt }, 'processing failed permanently');
    const { id: assetId, attempt: attempts, claimedGeneration: generation, requestId } = asset;
    const letter = {
      source: PROCESS_QUEUE,
      assetId,
      error: err instanceof Error ? `${err.name}: ${err.message}` : String(err),
      attempts,
      payload: JSON.stringify({ assetId, generation, attempt: attempts, requestId }),
    };
    const reason: StatusReason = { code: 'PROCESSING_FAILED', message };
    const isFailed = await this.transitions.fail(asset, reason, letter, this.clock.now());
    this.metrics.ended(isFailed ? 'failed' : 'moot');
  }

  private async discard(asset: Asset): Promise<void> {
    try {
      await this.incoming.discard(asset.id, asset.claimedGeneration, this.clock.now());
    } catch (err) {
      this.logger.warn({ err }, 'incoming object not deleted yet');
    }
  }
}
