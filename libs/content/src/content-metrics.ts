import { Injectable } from '@nestjs/common';
import { Counter, Registry } from 'prom-client';

@Injectable()
export class ContentMetrics {
  private readonly corrupt: Counter;

  constructor(registry: Registry) {
    this.corrupt = new Counter({
      name: 'stowage_corrupt_objects_total',
      help: 'Stored objects whose bytes were found damaged',
      registers: [registry],
    });
  }

  foundCorrupt(): void {
    this.corrupt.inc();
  }
}
