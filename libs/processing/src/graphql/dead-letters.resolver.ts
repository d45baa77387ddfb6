import { Args, ID, Mutation, ResolveField, Resolver } from '@nestjs/graphql';
import { type Actor, invalid } from '#libs/domain';
import { connectionOf, parsePage } from '#libs/graphql';
import { AdminModel, assertOperator, CurrentActor } from '#libs/identity/graphql';
import { deadLetterNotFound, DeadLettersService } from '#libs/queue';
import { DeadLetterConnectionModel, DeadLetterModel, DeadLettersArgs } from './dead-letter.model.js';

const ID_TEXT = /^[1-9][0-9]{0,17}$/;

function parseId(text: string, errorOf: () => Error): bigint {
  if (!ID_TEXT.test(text)) throw errorOf();
  return BigInt(text);
}

@Resolver(() => AdminModel)
export class DeadLettersResolver {
  constructor(private readonly deadLetters: DeadLettersService) {}

  @ResolveField(() => DeadLetterConnectionModel, {
    name: 'deadLetters',
    description: 'Dead letters, newest first.',
  })
  async list(@Args() { first, after, state }: DeadLettersArgs): Promise<DeadLetterConnectionModel> {
    const page = parsePage({ first, after });
    const invalidCursor = () =>
      invalid('CURSOR_INVALID', 'The cursor does not belong to this list.', ['after']);
    const before = page.cursor === null ? undefined : parseId(page.cursor, invalidCursor);
    const letters = await this.deadLetters.list(state ?? undefined, before, page.size + 1);
    return connectionOf(
      letters.map((letter) => new DeadLetterModel(letter)),
      page,
      ({ id }) => id,
    );
  }

  @Mutation(() => DeadLetterModel, {
    description:
      'Discards a dead letter. Repeating the call returns it as it is; CONFLICT when it was retried.',
  })
  async discardDeadLetter(
    @CurrentActor() actor: Actor,
    @Args('id', { type: () => ID, description: 'Id of the dead letter.' }) id: string,
  ): Promise<DeadLetterModel> {
    assertOperator(actor);
    return new DeadLetterModel(await this.deadLetters.discard(parseId(id, deadLetterNotFound)));
  }

  @Mutation(() => DeadLetterModel, {
    description:
      'Retries the work of a dead letter. Repeating the call returns the dead letter as it is; CONFLICT when it was discarded, ' +
      'its asset is not FAILED any more, or its event is malformed.',
  })
  async retryDeadLetter(
    @CurrentActor() actor: Actor,
    @Args('id', { type: () => ID, description: 'Id of the dead letter.' }) id: string,
  ): Promise<DeadLetterModel> {
    assertOperator(actor);
    return new DeadLetterModel(await this.deadLetters.retry(parseId(id, deadLetterNotFound)));
  }
}
