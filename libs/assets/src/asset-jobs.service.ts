import { Injectable } from '@nestjs/common';
import { Database, type Statement } from '#libs/database';
import type { AssetReceived } from '#libs/domain';
import { Jobs } from '#libs/jobs';

/** A claimed asset whose bytes are to be processed. */
export interface AssetJob extends AssetReceived {
  readonly ownerId: bigint;
}

/** Index entries that are read to count the backlog of one owner; a longer backlog has this priority. */
const MOST_COUNTED = 1_000;

/** Also counts assets whose job is running. */
const BACKLOGS: Statement<{ owner: string; assets: number }> = {
  name: 'assets_backlogs',
  text: `select o.id::text as owner, b.assets from unnest($1::bigint[]) as o (id), lateral (
      select count(*)::int as assets from (
        select 1 from media_assets a where a.owner_id = o.id and a.status = 'PROCESSING' limit ${MOST_COUNTED}) counted) b`,
};

/** Enqueues assets for processing so that owners share the workers fairly. */
@Injectable()
export class AssetJobs {
  constructor(
    private readonly database: Database,
    private readonly jobs: Jobs,
  ) {}

  /**
   * Enqueues each asset that is not in the queue yet, in the order given. The priority of a job is the backlog of its owner, so
   * the only file of one owner goes before the hundredth of another.
   * @param delayMs before the jobs may be taken
   * @throws StowageError unavailable
   */
  async enqueue(assets: readonly AssetJob[], delayMs = 0): Promise<void> {
    if (assets.length === 0) return;
    const owners = [...new Set(assets.map(({ ownerId }) => ownerId))];
    const rows = await this.database.query(BACKLOGS, [owners]);
    const backlogs = new Map(rows.map(({ owner, assets: count }) => [owner, count]));
    const left = new Map<bigint, number>();
    for (const { ownerId } of assets) left.set(ownerId, (left.get(ownerId) ?? 0) + 1);
    const jobs = assets.map(({ ownerId, ...received }) => {
      const behind = left.get(ownerId)! - 1;
      left.set(ownerId, behind);
      return { received, priority: Math.max(1, (backlogs.get(String(ownerId)) ?? 0) - behind) };
    });
    await this.jobs.process(jobs, delayMs);
  }

  /**
   * Whether the queue has the job of this asset, waiting or running.
   * @throws StowageError unavailable
   */
  isQueued({ ownerId: _, ...received }: AssetJob): Promise<boolean> {
    return this.jobs.has(received);
  }
}
