import { Parent, ResolveField, Resolver } from '@nestjs/graphql';
import { ViewerModel } from '#libs/identity/graphql';
import { QuotaService } from '../quota.service.js';
import { QuotaModel } from './quota.model.js';

@Resolver(() => ViewerModel)
export class ViewerQuotaResolver {
  constructor(private readonly quotas: QuotaService) {}

  @ResolveField(() => QuotaModel, { description: 'Limits and usage of the caller.' })
  quota(@Parent() viewer: ViewerModel): Promise<QuotaModel> {
    return this.quotas.of(BigInt(viewer.id));
  }
}
