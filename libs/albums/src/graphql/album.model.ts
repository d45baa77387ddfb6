import { ArgsType, Field, ID, ObjectType, registerEnumType } from '@nestjs/graphql';
import { Connection, DateTime, PageArgs } from '#libs/graphql';
import type { Album } from '../album.js';
import type { Item } from '../albums.repository.js';

@ObjectType('Album', { description: 'Images that their owner has put together.' })
export class AlbumModel {
  /** The source of this model, for field resolvers. Not a GraphQL field. */
  readonly album: Album;

  @Field(() => ID, { description: 'Stable identifier of the album.' })
  id: string;

  @Field(() => ID, { description: 'Id of the owner.' })
  ownerId: string;

  @Field(() => String, { description: '1 to 200 characters.' })
  title: string;

  @Field(() => DateTime, { description: 'When the album was created.' })
  createdAt: Date;

  @Field(() => DateTime, { description: 'When title, cover or items last changed.' })
  updatedAt: Date;

  constructor(album: Album) {
    this.album = album;
    this.id = String(album.id);
    this.ownerId = String(album.ownerId);
    this.title = album.title;
    this.createdAt = album.createdAt;
    this.updatedAt = album.updatedAt;
  }
}

@ObjectType('AlbumItem', { description: 'An asset in an album.' })
export class AlbumItemModel {
  /** For the field resolver of the asset. Not a GraphQL field. */
  readonly assetId: string;

  @Field(() => DateTime, { description: 'When the asset was added.' })
  addedAt: Date;

  constructor({ assetId, addedAt }: Item) {
    this.assetId = assetId;
    this.addedAt = addedAt;
  }
}

@ObjectType('AlbumShare', { description: 'A principal with which an album is shared.' })
export class AlbumShareModel {
  @Field(() => String, { description: 'user:<id>, group:<name>, or * (everyone).' })
  principal: string;

  @Field(() => DateTime, { nullable: true, description: 'When the share ends; null for never.' })
  expiresAt: Date | null;
}

@ObjectType('AlbumConnection', { description: 'A page of albums.' })
export class AlbumConnectionModel extends Connection(AlbumModel) {}

@ObjectType('AlbumItemConnection', { description: 'A page of the items of an album.' })
export class AlbumItemConnectionModel extends Connection(AlbumItemModel) {}

export const AlbumScopeEnum = { OWN: 'OWN', SHARED: 'SHARED' } as const;
registerEnumType(AlbumScopeEnum, {
  name: 'AlbumScope',
  description: 'Which albums a list shows.',
  valuesMap: {
    OWN: { description: 'Albums of the caller.' },
    SHARED: { description: 'Albums that are shared with the caller, a group of the caller, or everyone.' },
  },
});

@ArgsType()
export class AlbumsArgs extends PageArgs {
  @Field(() => AlbumScopeEnum, { defaultValue: 'OWN', description: 'Which albums to list.' })
  scope: keyof typeof AlbumScopeEnum;
}
