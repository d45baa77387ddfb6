import { Injectable } from '@nestjs/common';
import { FeatureGrantsService } from '#libs/access';
import { AssetsService } from '#libs/assets';
import { Database, type Tx } from '#libs/database';
import {
  type Actor,
  assetNotFound,
  invalid,
  kindOfMediaType,
  parseIdempotencyKey,
  parsePrincipal,
  StowageError,
} from '#libs/domain';
import { type Album, albumNotFound, imagesOnly, parseAlbumId, parseTitle, principalOf } from './album.js';
import { AlbumsConfig } from './albums.config.js';
import { AlbumsRepository, MAX_SHARES } from './albums.repository.js';

/** Assets that one call adds or removes. */
export const MAX_ASSETS = 100;

/**
 * Changes albums. Only the owner and operators change an album, and it contains only assets of its owner. Every item carries a grant
 * of READ to the principal `albums:<id>`, so that sharing an album is one row.
 */
@Injectable()
export class AlbumsService {
  constructor(
    private readonly config: AlbumsConfig,
    private readonly database: Database,
    private readonly albums: AlbumsRepository,
    private readonly grants: FeatureGrantsService,
    private readonly assets: AssetsService,
  ) {}

  /** @returns null when the album does not exist or the caller may not see it */
  async find(actor: Actor, id: string): Promise<Album | null> {
    const albumId = parseAlbumId(id);
    return albumId === null ? null : this.albums.find(actor, albumId);
  }

  /**
   * Creates an album. A repeated idempotency key returns the album of the first call.
   * @throws StowageError invalid ALBUMS_TITLE_INVALID, IDEMPOTENCY_KEY_INVALID
   */
  async create(actor: Actor, title: string, idempotencyKey: string | null): Promise<Album> {
    const key = parseIdempotencyKey(idempotencyKey, ['idempotencyKey']);
    return this.albums.create(actor.ownerId, parseTitle(title), key);
  }

  /** @throws StowageError invalid ALBUMS_TITLE_INVALID; not-found; forbidden */
  rename(actor: Actor, id: string, text: string): Promise<Album> {
    const title = parseTitle(text);
    return this.change(actor, id, async (tx, { id }) => this.albums.touch(tx, id, { title }));
  }

  /** Deletes an album and the grants on its assets, which stay. A repeat changes nothing. @throws StowageError forbidden */
  async delete(actor: Actor, id: string): Promise<void> {
    const album = await this.find(actor, id);
    if (album === null) return;
    assertOwner(actor, album);
    await this.database.transaction(async (tx) => {
      if ((await this.albums.lock(tx, album.id)) === null) return;
      await this.albums.delete(tx, album.id);
      while ((await this.grants.revokeAll(tx, principalOf(album.id))) > 0);
    });
  }

  /**
   * Adds images of the album's owner. Assets that the album contains already are left where they are.
   * @throws StowageError not-found; forbidden ALBUMS_OWNERS_ASSETS_ONLY; invalid ALBUMS_IMAGES_ONLY, ALBUMS_TOO_MANY_ASSETS; conflict
   * ALBUMS_FULL
   */
  async add(actor: Actor, id: string, assetIds: readonly string[]): Promise<Album> {
    assertCount(assetIds);
    const album = await this.getOwn(actor, id);
    const found = await this.assets.findAll(actor, assetIds);
    if (found.length < assetIds.length) throw assetNotFound();
    found.forEach(({ ownerId, mimeType }, index) => {
      if (ownerId !== album.ownerId) {
        const message = "An album can contain assets of the album's owner only.";
        throw new StowageError('forbidden', 'ALBUMS_OWNERS_ASSETS_ONLY', message);
      }
      if (kindOfMediaType(mimeType) !== 'IMAGE') throw imagesOnly(['assetIds', index]);
    });
    return this.change(actor, id, async (tx, current) => {
      const added = await this.addTo(tx, current, assetIds);
      if (added === null) {
        const message = `An album can contain at most ${this.config.maxItems} assets.`;
        throw new StowageError('conflict', 'ALBUMS_FULL', message);
      }
      if (assetIds.some((assetId) => !added.includes(assetId))) throw assetNotFound();
    });
  }

  /**
   * Adds the assets that the album's owner owns, in the caller's transaction, which has locked the album.
   * @returns ids of the assets; null, without a change, if the album would become too large
   */
  async addTo(tx: Tx, album: Album, assetIds: readonly string[]): Promise<readonly string[] | null> {
    const newIds = [...new Set(assetIds)];
    const others = await this.albums.countOthers(tx, album.id, newIds);
    if (others + newIds.length > this.config.maxItems) return null;
    const principal = principalOf(album.id);
    const added = await this.grants.grant(tx, { ownerId: album.ownerId, principal, assetIds: newIds });
    if (added.length === 0) return added;
    const inOrder = newIds.filter((assetId) => added.includes(assetId));
    await this.albums.addItems(tx, album.id, inOrder);
    await this.albums.touch(tx, album.id, { coverAssetId: album.coverAssetId ?? inOrder.at(-1) });
    return added;
  }

  /** Removes assets and the access that the album gave to them. @throws StowageError not-found; forbidden; invalid ALBUMS_TOO_MANY_ASSETS */
  remove(actor: Actor, id: string, assetIds: readonly string[]): Promise<Album> {
    assertCount(assetIds);
    return this.change(actor, id, (tx, album) => this.removeFrom(tx, album, assetIds));
  }

  /** {@link remove} in the caller's transaction, which has locked the album. */
  async removeFrom(tx: Tx, album: Album, assetIds: readonly string[]): Promise<void> {
    await this.albums.removeItems(tx, album.id, assetIds);
    await this.grants.revoke(tx, principalOf(album.id), assetIds);
    if (album.coverAssetId !== null && assetIds.includes(album.coverAssetId)) {
      await this.albums.replaceCover(tx, album.coverAssetId, album.id);
    }
    await this.albums.touch(tx, album.id, {});
  }

  /**
   * Lets a principal see the album and read its assets, until the expiry if one is given. A repeat replaces the expiry.
   * @throws StowageError not-found; forbidden; invalid PRINCIPAL_INVALID; conflict ALBUMS_SHARED_TOO_OFTEN
   */
  share(actor: Actor, id: string, to: string, expiresAt: Date | null): Promise<Album> {
    const principal = parsePrincipal(to, ['principal']);
    return this.change(actor, id, async (tx, album) => {
      if (await this.albums.share(tx, { albumId: album.id, principal, expiresAt })) return;
      const message = `An album can be shared with at most ${MAX_SHARES} principals.`;
      throw new StowageError('conflict', 'ALBUMS_SHARED_TOO_OFTEN', message);
    });
  }

  /** Ends a share at once. A repeat changes nothing. @throws StowageError not-found; forbidden; invalid PRINCIPAL_INVALID */
  async unshare(actor: Actor, id: string, from: string): Promise<Album> {
    const album = await this.getOwn(actor, id);
    await this.albums.unshare(album.id, parsePrincipal(from, ['principal']));
    return album;
  }

  /** @throws StowageError not-found ALBUMS_NOT_FOUND; forbidden ALBUMS_OWNER_ONLY */
  private async getOwn(actor: Actor, id: string): Promise<Album> {
    const album = await this.find(actor, id);
    if (album === null) throw albumNotFound();
    assertOwner(actor, album);
    return album;
  }

  private async change(
    actor: Actor,
    id: string,
    work: (tx: Tx, album: Album) => Promise<void>,
  ): Promise<Album> {
    const { id: albumId } = await this.getOwn(actor, id);
    await this.database.transaction(async (tx) => {
      const album = await this.albums.lock(tx, albumId);
      if (album === null) throw albumNotFound();
      await work(tx, album);
    });
    return this.getOwn(actor, id);
  }
}

function assertOwner(actor: Actor, { ownerId }: Album): void {
  if (actor.isAdmin || actor.ownerId === ownerId) return;
  throw new StowageError('forbidden', 'ALBUMS_OWNER_ONLY', 'Only the owner of the album may change it.');
}

function assertCount(assetIds: readonly string[]): void {
  if (assetIds.length <= MAX_ASSETS) return;
  throw invalid('ALBUMS_TOO_MANY_ASSETS', `Name at most ${MAX_ASSETS} assets.`, ['assetIds']);
}
