import { Field, Int, ObjectType } from '@nestjs/graphql';
import { ByteSize } from '#libs/graphql';

@ObjectType('Quota', {
  description: "An owner's limits and usage. Used plus reserved values count against a limit.",
})
export class QuotaModel {
  @Field(() => ByteSize, { description: 'Limit on the total bytes of files and unfinished uploads.' })
  limitBytes: number;

  @Field(() => ByteSize, { description: 'Bytes of stored files.' })
  usedBytes: number;

  @Field(() => ByteSize, { description: 'Bytes reserved for unfinished uploads.' })
  reservedBytes: number;

  @Field(() => Int, { description: 'Limit on the number of files and unfinished uploads.' })
  limitAssets: number;

  @Field(() => Int, { description: 'Number of stored files.' })
  usedAssets: number;

  @Field(() => Int, { description: 'Number of unfinished uploads.' })
  reservedAssets: number;
}
