import { Parent, Query, ResolveField, Resolver } from '@nestjs/graphql';
import { type Actor, principalsOf } from '#libs/domain';
import { CurrentActor } from '#libs/identity/graphql';
import { QuotaService } from '../quota.service.js';
import { QuotaModel, ViewerModel } from './quota.model.js';

@Resolver(() => ViewerModel)
export class ViewerResolver {
  constructor(private readonly quotas: QuotaService) {}

  @Query(() => ViewerModel, { description: 'The caller.' })
  viewer(@CurrentActor() actor: Actor): ViewerModel {
    return { id: String(actor.ownerId), principals: principalsOf(actor), isAdmin: actor.isAdmin };
  }

  @ResolveField(() => QuotaModel, { description: 'Limits and usage of the caller.' })
  quota(@Parent() viewer: ViewerModel): Promise<QuotaModel> {
    return this.quotas.of(BigInt(viewer.id));
  }
}
