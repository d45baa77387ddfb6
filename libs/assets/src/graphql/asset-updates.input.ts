import { Field, ID, InputType } from '@nestjs/graphql';

@InputType('MetadataInput', { description: 'A key and value to attach.' })
export class MetadataInput {
  @Field(() => String, { description: '1 to 64 letters, digits, _ . : or -.' })
  key: string;

  @Field(() => String, { description: 'Up to 4096 bytes of text.' })
  value: string;
}

@InputType('UpdateAssetInput', { description: 'A change of an asset. Omitted fields stay as they are.' })
export class UpdateAssetInput {
  @Field(() => ID, { description: 'Id of the asset.' })
  id: string;

  @Field(() => String, {
    nullable: true,
    description:
      'The new file name: 1 to 255 bytes, without path or control characters. Invisible characters that do not shape others are ' +
      'removed. Download URLs that are requested afterwards use it.',
  })
  filename?: string | null;

  @Field(() => [MetadataInput], {
    nullable: true,
    description: 'Entries to add, or to replace where the key exists. An asset has at most 64 entries.',
  })
  setMetadata?: MetadataInput[] | null;

  @Field(() => [String], {
    nullable: true,
    description: 'Keys of entries to remove; a key that the asset does not have is ignored.',
  })
  removeMetadata?: string[] | null;
}
