import { Field, ID, Int, ObjectType } from '@nestjs/graphql';
import { ByteSize } from '#libs/graphql';

@ObjectType('Quota', { description: "An owner's limits and what counts against them: used plus reserved." })
export class QuotaModel {
  @Field(() => ByteSize, { description: 'Most bytes that files and running uploads may have together.' })
  limitBytes: number;

  @Field(() => ByteSize, { description: 'Bytes of the files that are there.' })
  usedBytes: number;

  @Field(() => ByteSize, { description: 'Bytes promised to uploads that are not finished.' })
  reservedBytes: number;

  @Field(() => Int, { description: 'Most files and running uploads together.' })
  limitAssets: number;

  @Field(() => Int, { description: 'Files that are there.' })
  usedAssets: number;

  @Field(() => Int, { description: 'Uploads that are not finished.' })
  reservedAssets: number;
}

@ObjectType('Viewer', { description: 'Who the token says you are.' })
export class ViewerModel {
  @Field(() => ID, { description: 'Your owner id.' })
  id: string;

  @Field(() => [String], {
    description: 'What access lists may name you as: user:<id>, group:<name>, and *.',
  })
  principals: string[];

  @Field(() => Boolean, { description: 'Whether you are an operator.' })
  isAdmin: boolean;
}
