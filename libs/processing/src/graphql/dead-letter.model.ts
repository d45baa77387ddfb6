import { ArgsType, Field, ID, Int, ObjectType, registerEnumType } from '@nestjs/graphql';
import { DateTime, PageInfo } from '#libs/graphql';
import type { DeadLetter, DeadLetterState } from '#libs/queue';

const DeadLetterStateEnum = { OPEN: 'OPEN', RETRIED: 'RETRIED', DISCARDED: 'DISCARDED' } as const;
registerEnumType(DeadLetterStateEnum, {
  name: 'DeadLetterState',
  description: 'What was decided about a dead letter.',
  valuesMap: {
    OPEN: { description: 'Nothing yet.' },
    RETRIED: { description: 'It was handed in once more.' },
    DISCARDED: { description: 'It was dropped.' },
  },
});

@ObjectType('DeadLetter', { description: 'Work that was given up.' })
export class DeadLetterModel {
  @Field(() => ID, { description: 'The dead letter for ever.' })
  id: string;

  @Field(() => String, { description: 'The queue or subscription that it came from.' })
  source: string;

  @Field(() => ID, { nullable: true, description: 'The asset that it is about, where there is one.' })
  assetId: string | null;

  @Field(() => String, { description: 'What went wrong last.' })
  error: string;

  @Field(() => Int, { description: 'How often it was tried.' })
  attempts: number;

  @Field(() => String, { description: 'What is handed in again, as JSON.' })
  payload: string;

  @Field(() => DeadLetterStateEnum, { description: 'What was decided about it.' })
  state: DeadLetterState;

  @Field(() => DateTime, { description: 'When it was given up.' })
  createdAt: Date;

  constructor({ id, ...letter }: DeadLetter) {
    Object.assign(this, letter, { id: String(id) });
  }
}

@ObjectType('DeadLetterEdge', { description: 'A dead letter and its place in the list.' })
export class DeadLetterEdgeModel {
  @Field(() => String, { description: 'Opaque.' })
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

  @Field(() => DeadLetterStateEnum, { nullable: true, description: 'Only those in this state.' })
  state?: DeadLetterState | null;
}
