import { Injectable } from '@nestjs/common';
import { PinoLogger } from 'nestjs-pino';
import {
  AssetJobsService,
  AssetsService,
  AssetTransitionsService,
  type DueAsset,
  DueAssetsService,
  IncomingObjectsService,
} from '#libs/assets';
import { StowageTask, type TaskAction, type TaskContext, type TaskStep } from '#libs/runtime';
import { UploadCompletion } from './upload-completion.js';

/** Advances uploads whose event, job, client or worker was lost, so that every asset reaches a terminal state. */
@Injectable()
export class UploadTasks {
  constructor(
    private readonly due: DueAssetsService,
    private readonly assets: AssetsService,
    private readonly transitions: AssetTransitionsService,
    private readonly incoming: IncomingObjectsService,
    private readonly completion: UploadCompletion,
    private readonly jobs: AssetJobsService,
    private readonly logger: PinoLogger,
  ) {
    logger.setContext(UploadTasks.name);
  }

  /** Expires PENDING uploads whose deadline has passed, unless storage has their bytes. */
  @StowageTask('expire-uploads', { seconds: 10 })
  async *expireUploads(context: TaskContext): AsyncGenerator<TaskStep> {
    for await (const { assetId } of this.due.read('expired', context)) {
      yield { subject: { assetId }, examine: () => this.expiry(assetId, context.now) };
    }
  }

  /** Finds PENDING uploads whose event was lost, PROCESSING assets whose job was lost, and FAILED assets that nobody retried. */
  @StowageTask('reconcile-uploads', { seconds: 10 })
  async *reconcileUploads(context: TaskContext): AsyncGenerator<TaskStep> {
    for await (const asset of this.due.read('unfinished', context)) {
      const { assetId } = asset;
      yield { subject: { assetId }, examine: () => this.reconciliation(asset, context.now) };
    }
  }

  private async expiry(assetId: string, now: Date): Promise<TaskAction> {
    if ((await this.incoming.stat(assetId)) !== null) return this.claim(assetId);
    const perform = async () => {
      if ((await this.completion.checkObject(assetId)) !== 'nothing-there') return false;
      const asset = await this.assets.findWithoutAccessCheck(assetId);
      if (asset === null || asset.uploadDeadlineAt > now) return false;
      const isExpired = await this.completion.expire(asset, now);
      if (isExpired) this.logger.info({ assetId, reqId: asset.requestId }, 'upload expired');
      return isExpired;
    };
    return { action: 'expire', subject: `asset ${assetId}`, perform };
  }

  private async reconciliation(
    { assetId, status, version }: DueAsset,
    now: Date,
  ): Promise<TaskAction | null> {
    const subject = `asset ${assetId}`;
    switch (status) {
      case 'PENDING':
        return (await this.incoming.stat(assetId)) === null ? null : this.claim(assetId);
      case 'PROCESSING': {
        const asset = await this.assets.findWithoutAccessCheck(assetId);
        if (asset?.status !== 'PROCESSING' || (await this.jobs.isQueued(asset))) return null;
        return { action: 'enqueue', subject, perform: () => this.jobs.enqueueMissing(asset) };
      }
      default: {
        const asset = await this.assets.findWithoutAccessCheck(assetId);
        if (asset?.status !== 'FAILED' || !this.transitions.isLapsed(asset, now)) return null;
        const perform = async () => {
          const isLapsed = await this.transitions.lapse({ ...asset, version }, now);
          if (isLapsed) this.logger.info({ assetId, reqId: asset.requestId }, 'failed upload expired');
          return isLapsed;
        };
        return { action: 'expire', subject, perform };
      }
    }
  }

  /** Processes an object that storage has. */
  private claim(assetId: string): TaskAction {
    const perform = async () => (await this.completion.checkObject(assetId)) === 'claimed';
    return { action: 'process', subject: `asset ${assetId}`, perform };
  }
}
