import { Args, ID, Mutation, Resolver } from '@nestjs/graphql';
import { type Actor, parseOwnerId } from '#libs/domain';
import { DateTime } from '#libs/graphql';
import { TokenRevocationsService } from '../token-revocations.service.js';
import { CurrentActor } from './actor.guard.js';
import { assertOperator } from './admin.resolver.js';

@Resolver()
export class RevocationsResolver {
  constructor(private readonly revocations: TokenRevocationsService) {}

  @Mutation(() => Boolean, {
    description:
      "Operators only: ends the owner's tokens that were issued (`iat`) before an instant, in all processes within seconds, including " +
      'open sockets and their subscriptions. A token without `iat` counts as older. Calls of a service on behalf of the owner ' +
      "go on, because the token is the service's: to end them, revoke the tokens of the service's own owner id. Download URLs work " +
      'until they expire. Returns true, also for a repeat; the instant moves forward only.',
  })
  async revokeTokens(
    @CurrentActor() actor: Actor,
    @Args('ownerId', { type: () => ID, description: 'Owner id, as in `viewer { id }`.' }) ownerId: string,
    @Args('before', {
      type: () => DateTime,
      description:
        'Tokens issued before this instant end. `iat` is mostly in whole seconds, so a token issued later in the same second ends ' +
        'too. At most 30 seconds in the future.',
    })
    before: Date,
  ): Promise<boolean> {
    assertOperator(actor);
    await this.revocations.revoke(parseOwnerId(ownerId, ['ownerId']), before);
    return true;
  }
}
