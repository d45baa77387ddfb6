import { Module } from '@nestjs/common';
import { QuotaModule } from '../quota.module.js';
import { ViewerQuotaResolver } from './viewer-quota.resolver.js';

@Module({ imports: [QuotaModule], providers: [ViewerQuotaResolver] })
export class QuotaGraphQLModule {}
