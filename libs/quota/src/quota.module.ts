import { type DynamicModule, Global, Module } from '@nestjs/common';
import { QUOTA_OPTIONS, type QuotaOptions, QuotaService } from './quota.service.js';

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
