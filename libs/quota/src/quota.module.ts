import { Module } from '@nestjs/common';
import { QuotaMovesService } from './quota-moves.service.js';
import { QuotaService } from './quota.service.js';

/** Quota per owner. */
@Module({ providers: [QuotaMovesService, QuotaService], exports: [QuotaMovesService, QuotaService] })
export class QuotaModule {}
