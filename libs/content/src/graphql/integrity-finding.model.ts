import { Field, ID, ObjectType, registerEnumType } from '@nestjs/graphql';
import { Connection, DateTime } from '#libs/graphql';
import type { IntegrityFinding } from '../integrity-findings.service.js';

const IntegrityProblemEnum = {
  CORRUPT: 'CORRUPT',
  MISSING: 'MISSING',
  SIZE_CHANGED: 'SIZE_CHANGED',
  GENERATION_CHANGED: 'GENERATION_CHANGED',
  ORPHAN: 'ORPHAN',
  REF_COUNT_DRIFT: 'REF_COUNT_DRIFT',
  QUOTA_DRIFT: 'QUOTA_DRIFT',
} as const;
registerEnumType(IntegrityProblemEnum, {
  name: 'IntegrityProblem',
  description: 'Kind of a difference between the database, its counts and the buckets.',
  valuesMap: {
    CORRUPT: { description: 'The stored bytes do not have their checksum.' },
    MISSING: { description: 'The bucket has no object for a row.' },
    SIZE_CHANGED: { description: 'The object does not have the size of its row.' },
    GENERATION_CHANGED: { description: 'The object was written again by something else than this service.' },
    ORPHAN: { description: 'The bucket has an object without a row.' },
    REF_COUNT_DRIFT: {
      description: 'The reference count of a stored object is not the number of its assets.',
    },
    QUOTA_DRIFT: { description: "An owner's usage is not the sum of the owner's assets." },
  },
});

@ObjectType('IntegrityFinding', {
  description:
    'A difference between the database, its counts and the buckets. A problem of a subject has one finding until it is repaired.',
})
export class IntegrityFindingModel {
  @Field(() => ID, { description: 'Identifier of the finding.' })
  id: string;

  @Field(() => IntegrityProblemEnum, { description: 'The problem.' })
  problem: IntegrityFinding['problem'];

  @Field(() => String, {
    description: 'The row or object that has the problem, such as an owner with the id.',
  })
  subject: string;

  @Field(() => String, { nullable: true, description: 'Bucket of the object, if one is concerned.' })
  bucket: string | null;

  @Field(() => String, {
    nullable: true,
    description: 'Key of the object in its bucket, if one is concerned.',
  })
  objectKey: string | null;

  @Field(() => ID, { nullable: true, description: 'Id of the asset, if one is concerned.' })
  assetId: string | null;

  @Field(() => String, { description: 'Expected and found values.' })
  detail: string;

  @Field(() => Boolean, { description: 'Whether the problem is repaired.' })
  repaired: boolean;

  @Field(() => DateTime, { description: 'When the problem was found.' })
  foundAt: Date;

  @Field(() => DateTime, { nullable: true, description: 'When the problem was repaired.' })
  repairedAt: Date | null;

  constructor({ id, ...finding }: IntegrityFinding) {
    Object.assign(this, finding, { id: String(id) });
  }
}

@ObjectType('IntegrityFindingConnection', { description: 'A page of integrity findings.' })
export class IntegrityFindingConnectionModel extends Connection(IntegrityFindingModel) {}
