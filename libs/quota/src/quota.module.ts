import { type DynamicModule, Global, Module } from '@nestjs/common';
import { QUOTA_OPTIONS, type QuotaOptions, QuotaService } from './quota.service.js';

/** Quota per owner. An app imports this module once. */
@Global()
@Module({})
export class QuotaModule {
  static forRoot(options: QuotaOptions): DynamicModule {
    return {
      module: QuotaModule,
      providers: [{ provide: QUOTA_OPTIONS, useValue: options }, QuotaService],
      exports: [QuotaService],
    };
  }
}
