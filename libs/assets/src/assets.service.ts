import { Injectable } from '@nestjs/common';
import { may } from '#libs/access';
import type { Tx } from '#libs/database';
import {
  type Actor,
  assetNotFound,
  isAssetId,
  type Permission,
  principalsOf,
  StowageError,
} from '#libs/domain';
import { DomainEventsRepository } from '#libs/events';
import type { Asset, AssetDetails } from './asset.js';
import type { AssetContents } from './asset-contents.js';
import type { AssetListing } from './asset-list-streams.js';
import { type AssetList, AssetListsRepository } from './asset-lists.repository.js';
import { AssetsRepository } from './assets.repository.js';

/** Reads assets and lists of assets, with the rights of a caller. */
@Injectable()
export class AssetsService {
  constructor(
    private readonly repository: AssetsRepository,
    private readonly lists: AssetListsRepository,
    private readonly events: DomainEventsRepository,
  ) {}

  /** @returns null when the asset does not exist or the caller may not read it, so that callers cannot tell the two apart */
  async find(actor: Actor, id: string): Promise<Asset | null> {
    if (!isAssetId(id)) return null;
    const asset = await this.repository.find(id, principalsOf(actor));
    return asset !== null && may(actor, 'READ', asset) ? asset : null;
  }

  /** The assets that exist and that the caller may read, in the order of the ids. */
  async findAll(actor: Actor, ids: readonly string[], tx?: Tx): Promise<Asset[]> {
    const found = await this.repository.findAll(ids.filter(isAssetId), principalsOf(actor), tx);
    const assets = new Map(found.map((asset) => [asset.id, asset]));
    return ids.flatMap((id) => assets.get(id) ?? []).filter((asset) => may(actor, 'READ', asset));
  }

  /** For work that the service does on its own behalf. The result has no metadata, access list or granted permissions. */
  findWithoutAccessCheck(id: string): Promise<Asset | null> {
    return this.repository.load(id);
  }

  /** Whether the asset existed and was purged. Unknown, and false, some time after the purge: the event log is pruned. */
  wasPurged(id: string): Promise<boolean> {
    return this.events.wasPurged(id);
  }

  /**
   * An asset for which the caller has this permission.
   * @throws StowageError not-found ASSET_NOT_FOUND when the caller may not read the asset, forbidden PERMISSION_MISSING when the
   * caller may read it but lacks the permission
   */
  async get(actor: Actor, id: string, permission: Permission): Promise<Asset> {
    const asset = await this.find(actor, id);
    if (asset === null) throw assetNotFound();
    if (!may(actor, permission, asset)) throw permissionMissing(permission);
    return asset;
  }

  /** {@link get} for many assets in one statement: each id with its asset, or with the error that `get` throws. */
  async getAll(
    actor: Actor,
    ids: readonly string[],
    permission: Permission,
    tx?: Tx,
  ): Promise<Map<string, Asset | StowageError>> {
    const assets = new Map((await this.findAll(actor, ids, tx)).map((asset) => [asset.id, asset]));
    return new Map(
      ids.map((id) => {
        const asset = assets.get(id);
        if (asset === undefined) return [id, assetNotFound()];
        return [id, may(actor, permission, asset) ? asset : permissionMissing(permission)];
      }),
    );
  }

  /**
   * A page of assets that the actor may read. Does not check whether the actor may list the owner of an OWN list; the calling code
   * must have done so.
   */
  list(actor: Actor, listing: AssetListing): Promise<AssetList> {
    return this.lists.read(listing, actor);
  }

  /** Metadata and access lists of many assets, by asset id, in one statement. */
  details(ids: readonly string[]): Promise<Map<string, AssetDetails>> {
    return this.repository.details(ids);
  }

  /** Contents of many assets, by asset id, in one statement. Omits assets that are neither READY nor DELETED now. */
  contents(ids: readonly string[]): Promise<Map<string, AssetContents>> {
    return this.repository.contents(ids);
  }

  /** Records that the bytes, or URLs to them, were given to readers at this time. */
  recordAccess(ids: readonly string[], at: Date): Promise<void> {
    return this.repository.recordAccess(ids, at);
  }
}

const permissionMissing = (permission: Permission) =>
  new StowageError('forbidden', 'PERMISSION_MISSING', `This needs the permission ${permission}.`);
