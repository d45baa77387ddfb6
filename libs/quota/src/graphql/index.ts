import { Module } from '@nestjs/common';
import { ViewerQuotaResolver } from './viewer-quota.resolver.js';

@Module({ providers: [ViewerQuotaResolver] })
export class QuotaGraphQLModule {}
