import { Injectable } from '@nestjs/common';
import { Batcher } from '#libs/database';
import { type Actor, invalid, kindOfMediaType } from '#libs/domain';
import { type ParsedUploadRequest, UploadPolicy, type UploadPolicyHandler } from '#libs/upload';
import { ALBUM_KEY, imagesOnly, parseAlbumId } from './album.js';
import { AlbumsRepository } from './albums.repository.js';

/** Refuses uploads into an album (metadata `albums.id`) that are no images, and those into an album of another owner. */
@UploadPolicy('albums.images-only')
@Injectable()
export class ImagesOnlyPolicy implements UploadPolicyHandler {
  /** A request may have a hundred items, whose checks run concurrently. */
  private readonly owners = new Batcher<bigint, bigint | undefined>(
    async (albumIds) => {
      const owners = await this.albums.owners(albumIds);
      return albumIds.map((albumId) => owners.get(albumId));
    },
    { atOnce: 2, most: 100 },
  );

  constructor(private readonly albums: AlbumsRepository) {}

  async check(actor: Actor, { metadata, mimeType }: ParsedUploadRequest): Promise<void> {
    const index = metadata.findIndex(({ key }) => key === ALBUM_KEY);
    if (index === -1) return;
    if (kindOfMediaType(mimeType) !== 'IMAGE') throw imagesOnly(['input', 'mimeType']);
    const albumId = parseAlbumId(metadata[index]!.value);
    if (albumId === null || (await this.owners.run(albumId)) !== actor.ownerId) {
      const message = 'The metadata albums.id must be the id of an album of yours.';
      throw invalid('ALBUMS_UNKNOWN', message, ['input', 'metadata', index, 'value']);
    }
  }
}
