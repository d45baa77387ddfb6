import { type DynamicModule, Global, Module } from '@nestjs/common';
import { HealthCheck } from '#libs/runtime';
import { Scanner } from './scanner.js';

/** Binds the scanner port to an app's adapter and has its health check. */
@Global()
@Module({})
export class ScannerModule {
  static forRoot(scanner: Scanner): DynamicModule {
    const port = { provide: Scanner, useValue: scanner };
    return { module: ScannerModule, providers: [port], exports: [Scanner] };
  }

  constructor(private readonly scanner: Scanner) {}

  @HealthCheck('scanner')
  check(signal: AbortSignal): Promise<unknown> {
    return this.scanner.check(signal);
  }
}
