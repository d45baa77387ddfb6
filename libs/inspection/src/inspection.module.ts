import { type DynamicModule, Global, Module } from '@nestjs/common';
import { INSPECTION_OPTIONS, type InspectionOptions, Inspector } from './inspector.js';

/** Provides the global `Inspector`. Requires `HealthModule` and `LoggerModule`. */
@Global()
@Module({})
export class InspectionModule {
  static forRoot(options: InspectionOptions): DynamicModule {
    return {
      module: InspectionModule,
      providers: [{ provide: INSPECTION_OPTIONS, useValue: options }, Inspector],
      exports: [Inspector],
    };
  }
}
