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
  INCOMING_IS_WASTE,
  kindOf,
  type ObjectVersion,
  type StatusReason,
  StowageError,
} from '#libs/domain';
import { backoffMs, PROCESS_QUEUE } from '#libs/queue';
import { ContentChecks, type CheckedContent } from './content-checks.js';
import { ProcessingMetrics } from './processing-metrics.js';
import { ReaderNeeded } from './reader-needed.js';

/** Failures that may pass are tried so often before the asset is FAILED. */
const MAX_ATTEMPTS = 5;
/** A stored object can vanish between copy and reference; copying again finds a new place for the bytes. */
const MAX_PLACINGS = 3;

/** From "the bytes are here" to READY or REJECTED. */
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
   * Works on one claimed generation. Repeatable at every step: all work before the transition can be done again, and
   * the transition happens once.
   * @throws StowageError unavailable when a dependency is down or `signal` aborts; the work is to be done again
   */
  async process(job: AssetReceived, signal: AbortSignal): Promise<void> {
    await this.run(job, signal, true);
  }

  /**
   * The same, but for a file that needs no reader.
   * @returns false for a file that needs one, when nothing was done
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
    if (INCOMING_IS_WASTE.includes(asset.status)) {
      // Whoever settled it may have died before deleting.
      await this.incoming.discard(asset.id, asset.claimedGeneration, this.clock.now());
      return;
    }
    const isCurrent = asset.claimedGeneration === job.generation && asset.attempt === job.attempt;
    if (asset.status !== 'PROCESSING' || !isCurrent) return;
    const started = performance.now();
    try {
      const object = { ...this.incoming.refOf(asset.id), version: job.generation };
      const examine = () => this.contentChecks.check(asset, object, { mayInspect, signal });
      const examined = await this.metrics.time('read', examine);
      if (!(await this.accept(asset, object, examined, signal))) {
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
      if (!(await this.refuse(asset, error))) return;
    }
    await this.discard(asset);
  }

  /** The worker died on this job again and again: that counts as a failed attempt. */
  async crashed(job: AssetReceived, times: number): Promise<void> {
    const asset = await this.assets.findWithoutAccessCheck(job.assetId);
    if (asset?.status !== 'PROCESSING' || asset.attempt !== job.attempt) return;
    await this.retry(asset, new Error(`the worker died ${times} times`));
  }

  private async accept(
    asset: Asset,
    from: ObjectVersion,
    { digest, renditions, getsVariants, variantsReason, ...found }: CheckedContent,
    signal: AbortSignal,
  ): Promise<boolean> {
    const scope = this.contents.scopeOf(asset.ownerId);
    for (let turn = 0; turn < MAX_PLACINGS; turn++) {
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
      const now = await this.assets.findWithoutAccessCheck(asset.id);
      if (now?.status !== 'PROCESSING' || now.version !== asset.version) return false;
    }
    throw new Error('the stored object vanished each time it was about to be referenced');
  }

  /** True when the asset was settled here, so that its incoming object is to go. */
  private async refuse(asset: Asset, error: unknown): Promise<boolean> {
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
    const settled = await this.transitions.reject(asset, reason, this.clock.now());
    if (settled) this.metrics.rejected(code);
    else this.metrics.ended('moot');
    if (settled) this.logger.info({ code, message }, 'asset rejected');
    return settled;
  }

  private async retry(asset: Asset, err: unknown): Promise<void> {
    if (asset.attempt >= MAX_ATTEMPTS) {
      await this.fail(asset, err, 'Processing failed; an operator can try again.');
      return;
    }
    this.logger.error({ err, attempt: asset.attempt }, 'processing failed, will be tried again');
    if (!(await this.transitions.retry(asset, this.clock.now()))) return;
    this.metrics.ended('retried');
    const attempt = asset.attempt + 1;
    await this.jobs.enqueue([{ ...asset, attempt }], backoffMs(attempt));
  }

  private async fail(asset: Asset, err: unknown, message: string): Promise<void> {
    this.logger.error({ err, attempt: asset.attempt }, 'processing failed for good');
    const { id: assetId, attempt: attempts, claimedGeneration: generation, requestId } = asset;
    const letter = {
      source: PROCESS_QUEUE,
      assetId,
      error: err instanceof Error ? `${err.name}: ${err.message}` : String(err),
      attempts,
      payload: JSON.stringify({ assetId, generation, attempt: attempts, requestId }),
    };
    const reason: StatusReason = { code: 'PROCESSING_FAILED', message };
    const settled = await this.transitions.fail(asset, reason, letter, this.clock.now());
    this.metrics.ended(settled ? 'failed' : 'moot');
  }

  private async discard(asset: Asset): Promise<void> {
    try {
      await this.incoming.discard(asset.id, asset.claimedGeneration, this.clock.now());
    } catch (err) {
      this.logger.warn({ err }, 'incoming object not deleted yet');
    }
  }
}
