import { Injectable } from '@nestjs/common';
import { type Actor, invalid, kindOfMediaType } from '#libs/domain';
import { type ParsedUploadRequest, UploadPolicy, type UploadPolicyHandler } from '#libs/upload';
import { ALBUM_KEY, imagesOnly } from './album.js';
import { AlbumsService } from './albums.service.js';

/** Refuses uploads into an album (metadata `album`) that are no images, and those into an album of another owner. */
@UploadPolicy('albums.images-only')
@Injectable()
export class ImagesOnlyPolicy implements UploadPolicyHandler {
  constructor(private readonly albums: AlbumsService) {}

  async check(actor: Actor, { metadata, mimeType }: ParsedUploadRequest): Promise<void> {
    const index = metadata.findIndex(({ key }) => key === ALBUM_KEY);
    if (index === -1) return;
    if (kindOfMediaType(mimeType) !== 'IMAGE') throw imagesOnly(['input', 'mimeType']);
    const album = await this.albums.find(actor, metadata[index]!.value);
    if (album?.ownerId !== actor.ownerId) {
      const message = 'The metadata album must be the id of an album of yours.';
      throw invalid('ALBUM_UNKNOWN', message, ['input', 'metadata', index, 'value']);
    }
  }
}
