import { Injectable } from '@nestjs/common';
import { type Actor, invalid, kindOf, StowageError } from '#libs/domain';
import type { Asset } from './asset.js';
import { AssetRemovalService } from './asset-removal.service.js';
import { type AssetOutcome, MAX_ITEMS } from './asset-updates.service.js';
import { AssetsService } from './assets.service.js';

/** Each deletion is a transaction that may wait for storage, so one call must not take the connections of all others. */
const MAX_CONCURRENT = 4;

/** Deletions of one call that were tried. */
interface Progress {
  readonly failures: Map<string, StowageError>;
  hasDeleted: boolean;
}

/** Deletes several assets in one call. */
@Injectable()
export class AssetBatchRemovalService {
  constructor(
    private readonly assets: AssetsService,
    private readonly removal: AssetRemovalService,
  ) {}

  /**
   * Deletes 1 to 100 assets, each independently, as {@link AssetRemovalService.delete} does. An id that is given twice has the same
   * outcome twice. An outage is the outcome of the assets that it concerns, and fails the call if no asset was deleted.
   * @param ids the ids; an item that was refused before is passed as its error
   * @returns outcomes in the order of the ids
   * @throws StowageError invalid BATCH_SIZE; unavailable
   */
  async deleteAll(actor: Actor, ids: readonly (string | StowageError)[]): Promise<AssetOutcome[]> {
    if (ids.length < 1 || ids.length > MAX_ITEMS) {
      throw invalid('BATCH_SIZE', `Delete 1 to ${MAX_ITEMS} assets at a time.`, ['ids']);
    }
    const wanted = [...new Set(ids.filter((id) => typeof id === 'string'))];
    const found = await this.assets.getAll(actor, wanted, 'DELETE');
    const present = [...found.values()].flatMap((asset) => (asset instanceof StowageError ? [] : asset));
    const { failures, hasDeleted } = await this.deleteEach(
      actor,
      present.filter(({ deletedAt }) => deletedAt === null),
    );
    const outage = [...failures.values()].find((error) => kindOf(error) === 'unavailable');
    if (outage !== undefined && !hasDeleted) throw outage;
    const deleted = hasDeleted ? await this.read(actor, wanted) : found;
    return ids.map((id) => {
      if (id instanceof StowageError) return id;
      return failures.get(id) ?? deleted.get(id)!;
    });
  }

  /** @throws the first error that is no StowageError, after all deletions have ended */
  private async deleteEach(actor: Actor, assets: readonly Asset[]): Promise<Progress> {
    const progress: Progress = { failures: new Map(), hasDeleted: false };
    const left = assets.values();
    const run = async () => {
      for (const asset of left) {
        try {
          const outage = outageOf(progress, asset);
          if (outage !== undefined) throw outage;
          await this.removal.deleteFound(actor, asset);
          progress.hasDeleted = true;
        } catch (error) {
          if (!(error instanceof StowageError)) throw error;
          progress.failures.set(asset.id, error);
        }
      }
    };
    const runs = await Promise.allSettled(Array.from({ length: MAX_CONCURRENT }, run));
    const bug = runs.find(({ status }) => status === 'rejected');
    if (bug?.status === 'rejected') throw bug.reason;
    return progress;
  }

  /** The assets after their deletion. An outage is the outcome of all of them; a repeat of the call returns them. */
  private async read(actor: Actor, ids: readonly string[]): Promise<ReadonlyMap<string, AssetOutcome>> {
    try {
      return await this.assets.getAll(actor, ids, 'DELETE');
    } catch (error) {
      if (!(error instanceof StowageError)) throw error;
      return new Map(ids.map((id) => [id, error]));
    }
  }
}

/** An earlier outage that the deletion of this asset would meet too; each further try could wait for its timeout. */
function outageOf({ failures }: Progress, { status, uploadMethod }: Asset): StowageError | undefined {
  const needsStorage = status === 'PENDING' && uploadMethod === 'RESUMABLE';
  const reasons = ['DATABASE_UNAVAILABLE', ...(needsStorage ? ['STORAGE_UNAVAILABLE'] : [])];
  return [...failures.values()].find(({ reason }) => reasons.includes(reason));
}
