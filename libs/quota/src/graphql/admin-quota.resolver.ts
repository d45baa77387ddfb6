import { Args, ID, Int, Mutation, ResolveField, Resolver } from '@nestjs/graphql';
import { type Actor, parseOwnerId } from '#libs/domain';
import { ByteSize } from '#libs/graphql';
import { AdminModel, assertOperator, CurrentActor } from '#libs/identity/graphql';
import { QuotaService } from '../quota.service.js';
import { QuotaModel } from './quota.model.js';

const OWNER_ID = { type: () => ID, description: 'Id of the owner.' };

@Resolver(() => AdminModel)
export class AdminQuotaResolver {
  constructor(private readonly quotas: QuotaService) {}

  @ResolveField(() => QuotaModel, {
    name: 'quota',
    description:
      'Limits and usage of an owner. An owner without uploads has the default limits and no usage.',
  })
  of(@Args('ownerId', OWNER_ID) ownerId: string): Promise<QuotaModel> {
    return this.quotas.of(parseOwnerId(ownerId, ['ownerId']));
  }

  @Mutation(() => QuotaModel, {
    description:
      'Operators only. Sets the limits of an owner. Limits below the current usage refuse new uploads and keep stored files. ' +
      'Repeating the call returns the same limits, and the current usage.',
  })
  async setQuota(
    @CurrentActor() actor: Actor,
    @Args('ownerId', OWNER_ID) ownerId: string,
    @Args('limitBytes', {
      type: () => ByteSize,
      description: 'Limit on the total bytes of files and unfinished uploads.',
    })
    limitBytes: number,
    @Args('limitAssets', {
      type: () => Int,
      description: 'Limit on the number of files and unfinished uploads; at least 0.',
    })
    limitAssets: number,
  ): Promise<QuotaModel> {
    assertOperator(actor);
    return this.quotas.setLimits(parseOwnerId(ownerId, ['ownerId']), { limitBytes, limitAssets });
  }
}
