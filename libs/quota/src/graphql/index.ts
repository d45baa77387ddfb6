import { Module } from '@nestjs/common';
import { QuotaModule } from '../quota.module.js';
import { AdminQuotaResolver } from './admin-quota.resolver.js';
import { ViewerQuotaResolver } from './viewer-quota.resolver.js';

@Module({ imports: [QuotaModule], providers: [AdminQuotaResolver, ViewerQuotaResolver] })
export class QuotaGraphQLModule {}
