import { Module } from '@nestjs/common';
import { AssetsGraphQLModule } from '#libs/assets/graphql';
import { AlbumsModule } from '../albums.module.js';
import { ImagesOnlyPolicy } from '../images-only.policy.js';
import { AlbumChangesResolver } from './album-changes.resolver.js';
import { AlbumItemsResolver, AlbumsResolver } from './albums.resolver.js';
import { AssetAlbumsResolver } from './asset-albums.resolver.js';

/** Resolvers and the upload policy, for the API. */
@Module({
  imports: [AlbumsModule, AssetsGraphQLModule],
  providers: [
    AlbumsResolver,
    AlbumItemsResolver,
    AlbumChangesResolver,
    AssetAlbumsResolver,
    ImagesOnlyPolicy,
  ],
})
export class AlbumsGraphQLModule {}
