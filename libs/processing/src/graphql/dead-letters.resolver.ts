import { Args, ID, Mutation, ResolveField, Resolver } from '@nestjs/graphql';
import type { Actor } from '#libs/domain';
import { connectionOf, cursorsOf, parsePage } from '#libs/graphql';
import { AdminModel, assertOperator, CurrentActor } from '#libs/identity/graphql';
import { deadLetterNotFound, DeadLettersService } from '#libs/queue';
import { DeadLetterConnectionModel, DeadLetterModel, DeadLettersArgs } from './dead-letter.model.js';

const CURSORS = cursorsOf('dead letters', { id: 'bigint' });
const ID_TEXT = /^[1-9][0-9]{0,17}$/;

function parseId(text: string): bigint {
  if (!ID_TEXT.test(text)) throw deadLetterNotFound();
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
    const before = CURSORS.positionOf(page)?.id;
    const letters = await this.deadLetters.list(state ?? undefined, before, page.size + 1);
    return connectionOf(letters, page, CURSORS.encode, (letter) => new DeadLetterModel(letter));
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
    return new DeadLetterModel(await this.deadLetters.discard(parseId(id)));
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
    return new DeadLetterModel(await this.deadLetters.retry(parseId(id)));
  }
}
