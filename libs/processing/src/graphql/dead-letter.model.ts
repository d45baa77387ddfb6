import { ArgsType, Field, ID, Int, ObjectType, registerEnumType } from '@nestjs/graphql';
import { Connection, DateTime, ForwardPageArgs } from '#libs/graphql';
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

@ObjectType('DeadLetterConnection', { description: 'A page of dead letters.' })
export class DeadLetterConnectionModel extends Connection(DeadLetterModel) {}

@ArgsType()
export class DeadLettersArgs extends ForwardPageArgs {
  @Field(() => DeadLetterStateEnum, { nullable: true, description: 'Only dead letters in this state.' })
  state?: DeadLetterState | null;
}
