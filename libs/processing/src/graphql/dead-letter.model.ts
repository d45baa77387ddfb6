import { ArgsType, Field, ID, Int, ObjectType, registerEnumType } from '@nestjs/graphql';
import { DateTime, PageInfo } from '#libs/graphql';
import type { DeadLetter, DeadLetterState } from '#libs/queue';

const DeadLetterStateEnum = { OPEN: 'OPEN', RETRIED: 'RETRIED', DISCARDED: 'DISCARDED' } as const;
registerEnumType(DeadLetterStateEnum, {
  name: 'DeadLetterState',
  description: 'State of a dead letter.',
  valuesMap: {
    OPEN: { description: 'Waiting for an operator.' },
    RETRIED: { description: 'The work was retried.' },
    DISCARDED: { description: 'The dead letter was discarded.' },
  },
});

@ObjectType('DeadLetter', { description: 'Work that failed permanently.' })
export class DeadLetterModel {
  @Field(() => ID, { description: 'Stable identifier of the dead letter.' })
  id: string;

  @Field(() => String, { description: 'Queue or subscription of the failed work.' })
  source: string;

  @Field(() => ID, { nullable: true, description: 'Id of the asset concerned, if any.' })
  assetId: string | null;

  @Field(() => String, { description: 'The last error.' })
  error: string;

  @Field(() => Int, { description: 'Number of attempts.' })
  attempts: number;

  @Field(() => String, { description: 'Message that a retry handles again, as JSON.' })
  payload: string;

  @Field(() => DeadLetterStateEnum, { description: 'Current state.' })
  state: DeadLetterState;

  @Field(() => DateTime, { description: 'When the work failed permanently.' })
  createdAt: Date;

  constructor({ id, ...letter }: DeadLetter) {
    Object.assign(this, letter, { id: String(id) });
  }
}

@ObjectType('DeadLetterEdge', { description: 'A dead letter and its cursor in the list.' })
export class DeadLetterEdgeModel {
  @Field(() => String, { description: 'Opaque cursor.' })
  cursor: string;

  @Field(() => DeadLetterModel, { description: 'The dead letter.' })
  node: DeadLetterModel;
}

@ObjectType('DeadLetterConnection', { description: 'A page of dead letters.' })
export class DeadLetterConnectionModel {
  @Field(() => [DeadLetterEdgeModel], { description: 'The dead letters of this page with their cursors.' })
  edges: DeadLetterEdgeModel[];

  @Field(() => [DeadLetterModel], { description: 'The dead letters of this page.' })
  nodes: DeadLetterModel[];

  @Field(() => PageInfo, { description: 'Whether the list continues, and from which cursors.' })
  pageInfo: PageInfo;
}

@ArgsType()
export class DeadLettersArgs {
  @Field(() => Int, { nullable: true, description: 'Page length; 1 to 100.' })
  first?: number | null;

  @Field(() => String, { nullable: true, description: 'The cursor that the page comes after.' })
  after?: string | null;

  @Field(() => DeadLetterStateEnum, { nullable: true, description: 'Only dead letters in this state.' })
  state?: DeadLetterState | null;
}
