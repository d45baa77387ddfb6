import { type DynamicModule, Global, Module } from '@nestjs/common';
import { IDENTITY_OPTIONS, IdentityService } from './identity.service.js';
import type { IdentityOptions } from './token-verifier.js';

/** Authentication. An app that serves callers imports this module once. */
@Global()
@Module({})
export class IdentityModule {
  static forRoot(options: IdentityOptions): DynamicModule {
    return {
      module: IdentityModule,
      providers: [{ provide: IDENTITY_OPTIONS, useValue: options }, IdentityService],
      exports: [IdentityService],
    };
  }
}
