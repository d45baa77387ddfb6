import { Injectable } from '@nestjs/common';
import type { AssetReceived } from '#libs/domain';
import { QueueService } from '#libs/queue';
import type { Asset } from './asset.js';
import { AssetsRepository } from './assets.repository.js';

/** The columns of an asset from which its job is built. */
export type AssetToProcess = Pick<Asset, 'id' | 'ownerId' | 'claimedGeneration' | 'attempt' | 'requestId'>;

interface OwnedJob {
  readonly ownerId: bigint;
  readonly received: AssetReceived;
}

/** Enqueues assets for processing so that owners share the workers fairly. */
@Injectable()
export class AssetJobsService {
  constructor(
    private readonly assets: AssetsRepository,
    private readonly jobs: QueueService,
  ) {}

  /**
   * Enqueues the current attempt of each asset, in the order given. The priority of a job is the backlog of its owner, so that the
   * only file of one owner is processed before the hundredth of another. An asset without a claimed generation has no job.
   * @param delayMs milliseconds until workers may take the jobs
   * @throws StowageError unavailable
   */
  async enqueue(assets: readonly AssetToProcess[], delayMs = 0): Promise<void> {
    const owned = assets.flatMap(jobsOf);
    if (owned.length === 0) return;
    const backlogs = await this.assets.backlogs([...new Set(owned.map(({ ownerId }) => ownerId))]);
    const left = new Map<bigint, number>();
    for (const { ownerId } of owned) left.set(ownerId, (left.get(ownerId) ?? 0) + 1);
    const jobs = owned.map(({ ownerId, received }) => {
      const behind = left.get(ownerId)! - 1;
      left.set(ownerId, behind);
      return { received, priority: Math.max(1, (backlogs.get(ownerId) ?? 0) - behind) };
    });
    await this.jobs.enqueue(jobs, delayMs);
  }

  /**
   * Enqueues the current attempt of an asset whose job may have been lost, unless one of the two queues holds the job: a job that
   * was moved to the second queue must not start again in the first.
   * @returns whether a job was missing
   * @throws StowageError unavailable
   */
  async enqueueMissing(asset: AssetToProcess): Promise<boolean> {
    if (await this.isQueued(asset)) return false;
    await this.enqueue([asset]);
    return true;
  }

  /** Whether one of the two queues holds the job of the current attempt, if the asset has one. @throws StowageError unavailable */
  async isQueued(asset: AssetToProcess): Promise<boolean> {
    const [job] = jobsOf(asset);
    return job === undefined || this.jobs.has(job.received);
  }
}

function jobsOf({ id: assetId, ownerId, claimedGeneration, attempt, requestId }: AssetToProcess): OwnedJob[] {
  if (claimedGeneration === null) return [];
  return [{ ownerId, received: { assetId, generation: claimedGeneration, attempt, requestId } }];
}
