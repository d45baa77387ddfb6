import { type DynamicModule, Global, Module } from '@nestjs/common';
import { HealthChecks } from '#libs/runtime';
import { Scanner } from './scanner.js';

/** Binds the scanner port to an app's adapter and registers its health check. Needs `HealthModule`. */
@Global()
@Module({})
export class ScannerModule {
  static forRoot(scanner: Scanner): DynamicModule {
    const port = { provide: Scanner, useValue: scanner };
    return { module: ScannerModule, providers: [port], exports: [Scanner] };
  }

  constructor(health: HealthChecks, scanner: Scanner) {
    health.add('scanner', (signal) => scanner.check(signal));
  }
}
