import { ArgsType, Field, ID, InputType } from '@nestjs/graphql';
import type { AssetKind, AssetStatus } from '#libs/domain';
import { DateTime, LocalDateTime, PageArgs, Sha256 } from '#libs/graphql';
import { AssetKindEnum, AssetOrderEnum, AssetScopeEnum, AssetStatusEnum } from './enums.js';

@InputType('MetadataFilter', {
  description: 'Matches assets with this key, and with this value when one is given.',
})
export class MetadataFilterInput {
  @Field(() => String, { description: 'The key.' })
  key: string;

  @Field(() => String, { nullable: true, description: 'The value; any value when omitted.' })
  value?: string | null;
}

@InputType('PropertiesFilter', {
  description:
    'Properties read from the bytes, all of which must match. Texts must match as a whole, case-insensitively. Only READY assets ' +
    'have properties.',
})
export class PropertiesFilterInput {
  @Field(() => String, { nullable: true, description: 'Maker of the camera.' })
  cameraMake?: string | null;

  @Field(() => String, { nullable: true, description: 'Model of the camera.' })
  cameraModel?: string | null;

  @Field(() => String, { nullable: true, description: 'Title of a track or document.' })
  title?: string | null;

  @Field(() => String, { nullable: true, description: 'Artist of a track.' })
  artist?: string | null;

  @Field(() => String, { nullable: true, description: 'Album of a track.' })
  album?: string | null;

  @Field(() => Boolean, { nullable: true, description: 'Whether the bytes contain a location.' })
  hasLocation?: boolean | null;

  @Field(() => LocalDateTime, { nullable: true, description: 'takenAtLocal is later than this.' })
  takenAfter?: string | null;

  @Field(() => LocalDateTime, { nullable: true, description: 'takenAtLocal is earlier than this.' })
  takenBefore?: string | null;
}

@InputType('AssetFilter', {
  description:
    'Conditions that must all hold, in every scope and order. A repeated entry of a list counts once.',
})
export class AssetFilterInput {
  @Field(() => ID, {
    nullable: true,
    description: 'Owner of the assets. In the scope OWN, only operators may give an id other than their own.',
  })
  ownerId?: string | null;

  @Field(() => [AssetStatusEnum], {
    nullable: true,
    description:
      'Any of these; an empty list matches no asset. Default: all but DELETED, EXPIRED and CANCELLED.',
  })
  status?: AssetStatus[] | null;

  @Field(() => [AssetKindEnum], {
    nullable: true,
    description: 'Any of these; an empty list matches no asset.',
  })
  kind?: AssetKind[] | null;

  @Field(() => String, {
    nullable: true,
    description: 'A media type such as image/png, or a family such as image/*. Case-insensitive.',
  })
  mimeType?: string | null;

  @Field(() => Sha256, { nullable: true, description: 'Exactly these bytes.' })
  checksumSha256?: string | null;

  @Field(() => [MetadataFilterInput], {
    nullable: true,
    description: 'All of these metadata entries, at most 10; an empty list matches every asset.',
  })
  metadata?: MetadataFilterInput[] | null;

  @Field(() => DateTime, { nullable: true, description: 'Created after this instant.' })
  createdAfter?: Date | null;

  @Field(() => DateTime, { nullable: true, description: 'Created before this instant.' })
  createdBefore?: Date | null;

  @Field(() => String, {
    nullable: true,
    description:
      'Text of at least 3 characters anywhere in the file name, case-insensitive. No character is a wildcard.',
  })
  filenameContains?: string | null;

  @Field(() => PropertiesFilterInput, { nullable: true, description: 'All of these properties.' })
  properties?: PropertiesFilterInput | null;
}

@ArgsType()
export class AssetsArgs extends PageArgs {
  @Field(() => AssetScopeEnum, { nullable: true, defaultValue: 'OWN', description: 'Which assets to list.' })
  scope: keyof typeof AssetScopeEnum;

  @Field(() => AssetFilterInput, { nullable: true, description: 'Filter; all its conditions must hold.' })
  filter?: AssetFilterInput | null;

  @Field(() => AssetOrderEnum, {
    nullable: true,
    defaultValue: 'CREATED_DESC',
    description: 'Order of the list.',
  })
  orderBy: keyof typeof AssetOrderEnum;
}
