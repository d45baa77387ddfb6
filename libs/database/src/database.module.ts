import { type DynamicModule, Global, Module } from '@nestjs/common';
import { DATABASE_OPTIONS, Database, type DatabaseOptions } from './database.js';

/** Imported once by an app; every lib injects {@link Database}. */
@Global()
@Module({})
export class DatabaseModule {
  static forRoot(options: DatabaseOptions): DynamicModule {
    return {
      module: DatabaseModule,
      providers: [{ provide: DATABASE_OPTIONS, useValue: options }, Database],
      exports: [Database],
    };
  }
}
