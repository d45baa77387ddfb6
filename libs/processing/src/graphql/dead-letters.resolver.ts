import { Args, ID, Mutation, ResolveField, Resolver } from '@nestjs/graphql';
import { Database } from '#libs/database';
import { type Actor, invalid, StowageError } from '#libs/domain';
import { connectionOf, parsePage } from '#libs/graphql';
import { AdminModel, assertOperator, CurrentActor } from '#libs/identity/graphql';
import { type DeadLetter, DeadLettersService } from '#libs/queue';
import { DeadLetterConnectionModel, DeadLetterModel, DeadLettersArgs } from './dead-letter.model.js';

const ID_TEXT = /^[1-9][0-9]{0,17}$/;

function parseId(text: string, refuse: () => Error): bigint {
  if (!ID_TEXT.test(text)) throw refuse();
  return BigInt(text);
}

const notFound = () =>
  new StowageError('not-found', 'DEAD_LETTER_NOT_FOUND', 'There is no such dead letter.');

const closed = () =>
  new StowageError(
    'conflict',
    'DEAD_LETTER_CLOSED',
    'There is nothing left to decide about this dead letter.',
  );

@Resolver(() => AdminModel)
export class DeadLettersResolver {
  constructor(
    private readonly deadLetters: DeadLettersService,
    private readonly database: Database,
  ) {}

  @ResolveField(() => DeadLetterConnectionModel, {
    name: 'deadLetters',
    description: 'Work that was given up, newest first.',
  })
  async list(@Args() { first, after, state }: DeadLettersArgs): Promise<DeadLetterConnectionModel> {
    const page = parsePage({ first, after });
    const wrong = () => invalid('CURSOR_INVALID', 'The cursor is not one of this list.', ['after']);
    const before = page.cursor === null ? undefined : parseId(page.cursor, wrong);
    const letters = await this.deadLetters.list(state ?? undefined, before, page.size + 1);
    return connectionOf(
      letters.map((letter) => new DeadLetterModel(letter)),
      page,
      ({ id }) => id,
    );
  }

  @Mutation(() => DeadLetterModel, {
    description: 'Drops a dead letter. A repeat answers it as it is; CONFLICT when it was retried.',
  })
  async discardDeadLetter(
    @CurrentActor() actor: Actor,
    @Args('id', { type: () => ID, description: 'Which one.' }) id: string,
  ): Promise<DeadLetterModel> {
    assertOperator(actor);
    const letter = await this.find(id);
    await this.database.transaction((tx) => this.deadLetters.close(tx, letter.id, 'DISCARDED'));
    return this.decided(id, 'DISCARDED');
  }

  @Mutation(() => DeadLetterModel, {
    description:
      'Tries once more. A repeat answers the dead letter as it is; CONFLICT when it was discarded, its asset is not FAILED ' +
      'any more, or its event is malformed.',
  })
  async retryDeadLetter(
    @CurrentActor() actor: Actor,
    @Args('id', { type: () => ID, description: 'Which one.' }) id: string,
  ): Promise<DeadLetterModel> {
    assertOperator(actor);
    const letter = await this.find(id);
    if (letter.state === 'OPEN') await this.deadLetters.retry(letter);
    return this.decided(id, 'RETRIED');
  }

  private async decided(id: string, wanted: DeadLetter['state']): Promise<DeadLetterModel> {
    const letter = await this.find(id);
    if (letter.state !== wanted) throw closed();
    return new DeadLetterModel(letter);
  }

  private async find(id: string): Promise<DeadLetter> {
    const letter = await this.deadLetters.find(parseId(id, notFound));
    if (letter === null) throw notFound();
    return letter;
  }
}
