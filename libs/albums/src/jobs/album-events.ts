import { Injectable } from '@nestjs/common';
import { PinoLogger } from 'nestjs-pino';
import type { Tx } from '#libs/database';
import { kindOfMediaType } from '#libs/domain';
import { type AssetEvent, OnAssetEvent } from '#libs/events';
import { ALBUM_KEY, parseAlbumId } from '../album.js';
import { AlbumsRepository } from '../albums.repository.js';
import { AlbumsService } from '../albums.service.js';

/** Follows the changes of assets. */
@Injectable()
export class AlbumEvents {
  constructor(
    private readonly albums: AlbumsRepository,
    private readonly service: AlbumsService,
    private readonly logger: PinoLogger,
  ) {
    logger.setContext(AlbumEvents.name);
  }

  /** Adds an upload to the album that its metadata names. A restored asset may have been removed from the album before. */
  @OnAssetEvent('albums.add-uploads', ['asset.ready', 'asset.adopted'])
  async addUpload({ assetId }: AssetEvent, tx: Tx): Promise<void> {
    const asset = await tx.mediaAsset.findUnique({
      where: { assetId },
      select: { ownerId: true, mimeType: true, metadata: { where: { key: ALBUM_KEY } } },
    });
    const albumId = parseAlbumId(asset?.metadata[0]?.value ?? '');
    if (asset === null || albumId === null || kindOfMediaType(asset.mimeType) !== 'IMAGE') return;
    const album = await this.albums.lock(tx, albumId);
    if (album?.ownerId !== asset.ownerId) return;
    if ((await this.service.addTo(tx, album, [assetId])) === null) {
      this.logger.info({ assetId, album: String(albumId) }, 'album is full');
    }
  }

  /** Replaces covers that do not exist any more. The items of a purged asset are gone already. */
  @OnAssetEvent('albums.replace-covers', ['asset.purged'])
  replaceCovers({ assetId }: AssetEvent, tx: Tx): Promise<void> {
    return this.albums.replaceCover(tx, assetId);
  }

  /** Removes an asset whose bytes were replaced by those of another kind of file. */
  @OnAssetEvent('albums.remove-replaced', ['asset.replaced'])
  async removeReplaced({ assetId }: AssetEvent, tx: Tx): Promise<void> {
    const asset = await tx.mediaAsset.findUnique({ where: { assetId }, select: { mimeType: true } });
    if (asset === null || kindOfMediaType(asset.mimeType) === 'IMAGE') return;
    const items = await tx.albumItem.findMany({ where: { assetId }, orderBy: { albumId: 'asc' } });
    for (const { albumId } of items) {
      const album = await this.albums.lock(tx, albumId);
      if (album !== null) await this.service.removeFrom(tx, album, [assetId]);
    }
  }

  /** Removes an asset whose owner changed from the albums of its former owner. Its grants ended with the change. */
  @OnAssetEvent('albums.remove-transferred', ['asset.transferred'])
  async removeTransferred({ assetId }: AssetEvent, tx: Tx): Promise<void> {
    for (const albumId of await this.albums.removeUngranted(tx, assetId)) {
      await this.albums.replaceCover(tx, assetId, albumId);
      await this.albums.touch(tx, albumId, {});
    }
  }
}
