import { Args, ID, Mutation, Resolver } from '@nestjs/graphql';
import type { Actor } from '#libs/domain';
import { DateTime } from '#libs/graphql';
import { CurrentActor } from '#libs/identity/graphql';
import { AlbumsService } from '../albums.service.js';
import { AlbumModel } from './album.model.js';

const AlbumId = () => Args('id', { type: () => ID, description: 'Id of the album.' });
const AssetIds = () => Args('assetIds', { type: () => [ID], description: 'Ids of assets; at most 100.' });
const Title = () => Args('title', { type: () => String, description: '1 to 200 characters.' });
const Principal = () =>
  Args('principal', { type: () => String, description: 'user:<id>, group:<name>, or * (everyone).' });

@Resolver(() => AlbumModel)
export class AlbumChangesResolver {
  constructor(private readonly albums: AlbumsService) {}

  @Mutation(() => AlbumModel, {
    description: 'Creates an album. Repeating the call with the same key returns the album as it is now.',
  })
  async createAlbum(
    @CurrentActor() actor: Actor,
    @Title() title: string,
    @Args('idempotencyKey', {
      type: () => String,
      nullable: true,
      description: '1 to 128 characters that identify this call.',
    })
    idempotencyKey: string | null,
  ): Promise<AlbumModel> {
    return new AlbumModel(await this.albums.create(actor, title, idempotencyKey ?? null));
  }

  @Mutation(() => AlbumModel, { description: 'Renames an album. Repeating the call returns the album.' })
  async renameAlbum(
    @CurrentActor() actor: Actor,
    @AlbumId() id: string,
    @Title() title: string,
  ): Promise<AlbumModel> {
    return new AlbumModel(await this.albums.rename(actor, id, title));
  }

  @Mutation(() => ID, {
    description: 'Deletes an album; its assets stay. Returns the id, also when the call is repeated.',
  })
  async deleteAlbum(@CurrentActor() actor: Actor, @AlbumId() id: string): Promise<string> {
    await this.albums.delete(actor, id);
    return id;
  }

  @Mutation(() => AlbumModel, {
    description:
      "Adds images of the album's owner. Everyone with whom the album is shared may read them. Repeating the call returns the " +
      'album; CONFLICT when the album would become too large.',
  })
  async addToAlbum(
    @CurrentActor() actor: Actor,
    @AlbumId() id: string,
    @AssetIds() assetIds: string[],
  ): Promise<AlbumModel> {
    return new AlbumModel(await this.albums.add(actor, id, assetIds));
  }

  @Mutation(() => AlbumModel, {
    description:
      'Removes assets and the access that the album gave to them. Repeating the call returns the album.',
  })
  async removeFromAlbum(
    @CurrentActor() actor: Actor,
    @AlbumId() id: string,
    @AssetIds() assetIds: string[],
  ): Promise<AlbumModel> {
    return new AlbumModel(await this.albums.remove(actor, id, assetIds));
  }

  @Mutation(() => AlbumModel, {
    description:
      'Lets a principal see the album and read its assets. Repeating the call replaces the expiry; CONFLICT after 100 principals.',
  })
  async shareAlbum(
    @CurrentActor() actor: Actor,
    @AlbumId() id: string,
    @Principal() principal: string,
    @Args('expiresAt', { type: () => DateTime, nullable: true, description: 'When the share ends.' })
    expiresAt: Date | null,
  ): Promise<AlbumModel> {
    return new AlbumModel(await this.albums.share(actor, id, principal, expiresAt ?? null));
  }

  @Mutation(() => AlbumModel, { description: 'Ends a share at once. Repeating the call returns the album.' })
  async unshareAlbum(
    @CurrentActor() actor: Actor,
    @AlbumId() id: string,
    @Principal() principal: string,
  ): Promise<AlbumModel> {
    return new AlbumModel(await this.albums.unshare(actor, id, principal));
  }
}
