import { Module } from '@nestjs/common';
import { QuotaService } from './quota.service.js';

/** Quota per owner. */
@Module({ providers: [QuotaService], exports: [QuotaService] })
export class QuotaModule {}
