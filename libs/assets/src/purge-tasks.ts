import { Injectable } from '@nestjs/common';
import { PinoLogger } from 'nestjs-pino';
import { Clock } from '#libs/database';
import { inPages, StowageTask, type TaskAction, type TaskContext, type TaskStep } from '#libs/runtime';
import { AssetsConfig } from './assets.config.js';
import { AssetTransitionsService } from './asset-transitions.service.js';
import { IncomingObjectsService } from './incoming-objects.service.js';
import {
  type Purgeable,
  type PurgeableAsset,
  PurgeableAssetsRepository,
  type PurgePosition,
} from './purgeable-assets.repository.js';

const BATCH = 100;
const DAY_MS = 24 * 3_600_000;

/** Purges assets whose retention has ended. The bytes stay for the restore window. */
@Injectable()
export class PurgeTasks {
  constructor(
    private readonly config: AssetsConfig,
    private readonly assets: PurgeableAssetsRepository,
    private readonly transitions: AssetTransitionsService,
    private readonly incoming: IncomingObjectsService,
    private readonly clock: Clock,
    private readonly logger: PinoLogger,
  ) {
    logger.setContext(PurgeTasks.name);
  }

  /** Purges deleted assets that nobody restored. */
  @StowageTask('purge-deleted', { cron: '10 1 * * *' })
  purgeDeleted(context: TaskContext): AsyncGenerator<TaskStep> {
    return this.steps('deleted', this.config.deletedDays, context);
  }

  /** Purges the rows of uploads that expired, were cancelled or were rejected. */
  @StowageTask('prune-uploads', { cron: '40 1 * * *' })
  pruneUploads(context: TaskContext): AsyncGenerator<TaskStep> {
    return this.steps('finished', this.config.finishedUploadDays, context);
  }

  private async *steps(which: Purgeable, days: number, context: TaskContext): AsyncGenerator<TaskStep> {
    const { now, cursor } = context;
    const before = new Date(now.getTime() - days * DAY_MS);
    const start = cursor === null ? undefined : positionOf(cursor);
    const page = (after?: PurgePosition) => this.assets.page(which, before, BATCH, after ?? start);
    for await (const assets of inPages(BATCH, page)) {
      for (const asset of assets) {
        yield {
          cursor: cursorOf(asset),
          subject: { assetId: asset.assetId },
          // The row is the only reference to the incoming object of an upload; another task deletes the object first.
          examine: () => (which === 'finished' && asset.incomingPresent ? null : this.purge(asset, now)),
        };
      }
    }
  }

  private purge(asset: PurgeableAsset, start: Date): TaskAction {
    const { assetId, status, claimedGeneration, incomingPresent } = asset;
    const perform = async () => {
      // The start of the run may be long ago, which would shorten the restore window.
      const now = new Date(Math.max(start.getTime(), this.clock.now().getTime()));
      // Must precede the deletion of the row. An asset that was restored meanwhile needs no incoming object either.
      if (incomingPresent) await this.incoming.discard(assetId, claimedGeneration, now);
      const snapshot = { ...asset, id: assetId, sizeBytes: Number(asset.sizeBytes) };
      const isPurged = await this.transitions.purge(snapshot, now);
      if (isPurged) this.logger.info({ assetId, status }, 'asset purged');
      return isPurged;
    };
    return { action: 'purge', subject: `asset ${assetId}`, detail: status, perform };
  }
}

const cursorOf = ({ since, assetId }: PurgePosition) => `${since.toISOString()} ${assetId}`;

function positionOf(cursor: string): PurgePosition {
  const [since, assetId] = cursor.split(' ') as [string, string];
  return { since: new Date(since), assetId };
}
