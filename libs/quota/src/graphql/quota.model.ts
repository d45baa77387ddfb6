import { Field, ID, Int, ObjectType } from '@nestjs/graphql';
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

@ObjectType('Viewer', { description: 'The caller, as identified by the token.' })
export class ViewerModel {
  @Field(() => ID, { description: 'Owner id of the caller.' })
  id: string;

  @Field(() => [String], {
    description: 'Principals by which access lists can name the caller: user:<id>, group:<name>, and *.',
  })
  principals: string[];

  @Field(() => Boolean, { description: 'Whether the caller is an operator.' })
  isAdmin: boolean;
}
