import { Injectable } from '@nestjs/common';
import { Clock, Database, type Tx } from '#libs/database';
import { type Actor, assetNotFound, invalid, StowageError } from '#libs/domain';
import type { Asset } from './asset.js';
import {
  type AssetDraft,
  type AssetUpdate,
  parseAssetUpdate,
  type ParsedAssetUpdate,
} from './asset-draft.js';
import { AssetUpdatesRepository, type UpdatedColumns } from './asset-updates.repository.js';
import { AssetsService } from './assets.service.js';
import { mayGrant } from './asset-grants.service.js';

/** Assets that one call updates or deletes. */
export const MAX_ITEMS = 100;

/** The outcome of one item of a batch. */
export type AssetOutcome = Asset | StowageError;

/** Features act on such metadata on behalf of the owner: an album that shares the asset, for example. */
const isReserved = (key: string) => key.includes('.');

/** Changes names and metadata of assets for callers with the permission WRITE. */
@Injectable()
export class AssetUpdatesService {
  constructor(
    private readonly database: Database,
    private readonly assets: AssetsService,
    private readonly updates: AssetUpdatesRepository,
    private readonly clock: Clock,
  ) {}

  /**
   * Changes the file name and metadata of an asset in any status but DELETED. A repeat changes nothing and returns the asset.
   * @throws StowageError invalid FILENAME_INVALID, METADATA_INVALID; not-found; forbidden; conflict ASSET_DELETED; unavailable
   */
  async update(actor: Actor, update: AssetUpdate): Promise<Asset> {
    const [outcome] = await this.updateAll(actor, [update]);
    if (outcome instanceof StowageError) throw outcome;
    return outcome!;
  }

  /**
   * Changes 1 to 100 assets, each accepted or refused independently. All accepted changes are one transaction, of which an
   * outage leaves all or none. Several updates of one asset are applied in their order, and each has the final asset as its outcome.
   * @param updates the updates; an item that was refused before is passed as its error
   * @returns outcomes in the order of the updates
   * @throws StowageError invalid BATCH_SIZE; unavailable
   */
  async updateAll(actor: Actor, updates: readonly (AssetUpdate | StowageError)[]): Promise<AssetOutcome[]> {
    if (updates.length < 1 || updates.length > MAX_ITEMS) {
      throw invalid('BATCH_SIZE', `Update 1 to ${MAX_ITEMS} assets at a time.`, ['inputs']);
    }
    const parsed = updates.map((update) =>
      update instanceof StowageError ? update : refusalOr(() => parseAssetUpdate(update)),
    );
    const ids = new Set(parsed.flatMap((update) => (update instanceof StowageError ? [] : update.id)));
    const found = await this.assets.getAll(actor, [...ids], 'WRITE');
    const permitted = parsed.map((update) => {
      const asset = update instanceof StowageError ? update : found.get(update.id)!;
      return asset instanceof StowageError ? asset : update;
    });
    return this.applyAll(actor, permitted, found);
  }

  private async applyAll(
    actor: Actor,
    updates: readonly (ParsedAssetUpdate | StowageError)[],
    found: ReadonlyMap<string, AssetOutcome>,
  ): Promise<AssetOutcome[]> {
    const accepted = updates.flatMap((update) => (update instanceof StowageError ? [] : update));
    if (accepted.length === 0)
      return updates.flatMap((update) => (update instanceof StowageError ? update : []));
    const ids = [...new Set(accepted.map(({ id }) => id))];
    const touchesMetadata = accepted.some(({ set, remove }) => set.length + remove.length > 0);
    const keys = touchesMetadata ? accepted.flatMap(({ set }) => set.map(({ key }) => key)) : undefined;
    const now = this.clock.now();
    return this.database.transaction(async (tx) => {
      const drafts = await this.updates.lock(tx, ids, keys);
      // A grant may have been revoked before the lock. Ownership is compared with the locked row.
      const isOwner = ids.every((id) => mayGrant(actor, found.get(id) as Asset));
      const current = isOwner ? found : await this.assets.getAll(actor, ids, 'WRITE', tx);
      const applied = updates.map((update) => {
        const asset = update instanceof StowageError ? update : current.get(update.id)!;
        if (asset instanceof StowageError) return asset;
        return refusalOr(() => applyTo(drafts.get(asset.id), update as ParsedAssetUpdate, asset, actor));
      });
      const written = await this.write(tx, [...drafts.values()], now);
      return applied.map((draft) => {
        if (draft instanceof StowageError) return draft;
        const { id, granted } = current.get(draft.asset.id) as Asset;
        return { ...draft.asset, granted, filename: draft.filename, ...written.get(id) };
      });
    });
  }

  private async write(
    tx: Tx,
    drafts: readonly AssetDraft[],
    now: Date,
  ): Promise<ReadonlyMap<string, UpdatedColumns>> {
    const differences = drafts.flatMap(({ difference }) => difference ?? []);
    return differences.length === 0 ? new Map() : this.updates.write(tx, differences, now);
  }
}

function applyTo(
  draft: AssetDraft | undefined,
  update: ParsedAssetUpdate,
  permitted: Asset,
  actor: Actor,
): AssetDraft {
  // A transfer to another owner may have come first, for which the lock waited.
  if (draft?.asset.ownerId !== permitted.ownerId) throw assetNotFound();
  if (
    !mayGrant(actor, permitted) &&
    [...update.set.map(({ key }) => key), ...update.remove].some(isReserved)
  ) {
    throw new StowageError(
      'forbidden',
      'METADATA_RESERVED',
      'Only the owner may change metadata whose key contains a dot.',
    );
  }
  // Also set on a PROCESSING asset that is deleted when processing ends.
  if (draft.asset.deletedAt !== null) {
    throw new StowageError(
      'conflict',
      'ASSET_DELETED',
      'This asset is deleted. Restore it before you change it.',
    );
  }
  draft.apply(update);
  return draft;
}

/** The result of `work`, or the StowageError that it throws. */
function refusalOr<Result>(work: () => Result): Result | StowageError {
  try {
    return work();
  } catch (error) {
    if (error instanceof StowageError) return error;
    throw error;
  }
}
