import { Field, Float, Int, ObjectType } from '@nestjs/graphql';
import type { AssetProperties } from '#libs/domain';
import { ByteSize, DateTime, LocalDateTime } from '#libs/graphql';
import type { Asset } from '../asset.js';
import type { Variant } from '../asset-contents.js';

@ObjectType('Variant', { description: 'A smaller rendition, created by the service.' })
export class VariantModel {
  /** The source of this model, for field resolvers of other libs. Not GraphQL fields. */
  readonly asset: Asset;
  readonly variant: Variant;

  @Field(() => String, { description: 'Name of the profile.' })
  name: string;

  @Field(() => String, { description: 'Media type.' })
  mimeType: string;

  @Field(() => Int, { description: 'Pixels across.' })
  width: number;

  @Field(() => Int, { description: 'Pixels down.' })
  height: number;

  @Field(() => ByteSize, { description: 'Size in bytes.' })
  sizeBytes: number;

  constructor(asset: Asset, variant: Variant) {
    this.asset = asset;
    this.variant = variant;
    this.name = variant.name;
    this.mimeType = variant.mimeType;
    this.width = variant.width;
    this.height = variant.height;
    this.sizeBytes = variant.sizeBytes;
  }
}

@ObjectType('GeoPoint', { description: 'A location in WGS 84 coordinates.' })
export class GeoPointModel {
  @Field(() => Float, { description: 'Degrees, north positive.' })
  latitude: number;

  @Field(() => Float, { description: 'Degrees, east positive.' })
  longitude: number;
}

@ObjectType('AssetProperties', {
  description:
    'Properties read from the bytes. A field is null where it does not apply or could not be read.',
})
export class AssetPropertiesModel {
  @Field(() => Int, { nullable: true, description: 'Pixels across, as shown.' })
  width: number | null;

  @Field(() => Int, { nullable: true, description: 'Pixels down, as shown.' })
  height: number | null;

  @Field(() => Float, { nullable: true, description: 'Duration of audio or video, in seconds.' })
  durationSeconds: number | null;

  @Field(() => Int, { nullable: true, description: 'Pages of a document.' })
  pageCount: number | null;

  @Field(() => DateTime, {
    nullable: true,
    description:
      'When it was taken; null where the time zone is unknown. Visible to the owner and to operators: together with ' +
      'takenAtLocal it reveals the UTC offset of the location.',
  })
  takenAt: Date | null;

  @Field(() => LocalDateTime, {
    nullable: true,
    description:
      'Local time where it was taken, or UTC where only UTC is known. The TAKEN orders and filters use it.',
  })
  takenAtLocal: string | null;

  @Field(() => String, { nullable: true, description: 'Maker of the camera.' })
  cameraMake: string | null;

  @Field(() => String, { nullable: true, description: 'Model of the camera.' })
  cameraModel: string | null;

  @Field(() => Boolean, { nullable: true, description: 'Whether the bytes contain a location.' })
  hasLocation: boolean | null;

  @Field(() => GeoPointModel, {
    nullable: true,
    description: 'Location in the bytes. Visible to the owner only, not even to operators.',
  })
  location: GeoPointModel | null;

  @Field(() => String, { nullable: true, description: 'Title of a track or document.' })
  title: string | null;

  @Field(() => String, { nullable: true, description: 'Artist of a track.' })
  artist: string | null;

  @Field(() => String, { nullable: true, description: 'Album of a track.' })
  album: string | null;

  @Field(() => String, {
    nullable: true,
    description: 'Base64 ThumbHash: a placeholder to show while loading.',
  })
  thumbhash: string | null;

  constructor(found: AssetProperties, { isOwner, isAdmin }: { isOwner: boolean; isAdmin: boolean }) {
    const { latitude, longitude, takenAt, ...shown } = found;
    Object.assign(this, shown);
    this.takenAt = isOwner || isAdmin ? takenAt : null;
    this.location = isOwner && latitude !== null && longitude !== null ? { latitude, longitude } : null;
  }
}
