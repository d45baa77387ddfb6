import { type DynamicModule, Module } from '@nestjs/common';
import { Adoptions } from './adoptions.service.js';
import { Arrivals } from './arrivals.service.js';
import { EventRetries } from './event-retries.service.js';
import { Tickets } from './tickets.service.js';
import { UploadMetrics } from './upload-metrics.js';
import { UPLOAD_OPTIONS, type UploadOptions } from './upload.options.js';
import { UploadRepository } from './upload.repository.js';
import { Uploads } from './upload.service.js';

/** "The bytes are here", for any process. Needs the modules of `assets`, `jobs` and `database`, and `MetricsModule`. */
@Module({ providers: [Arrivals, UploadMetrics], exports: [Arrivals, UploadMetrics] })
export class ArrivalsModule {}

/** What operators may do about events that nothing came of. Needs also a provider of the port `ObjectEventReader`. */
@Module({ imports: [ArrivalsModule], providers: [EventRetries] })
export class EventRetriesModule {}

/** The clients' door. Needs also `QuotaModule` and a provider of the port `UrlSigner`. */
@Module({})
export class UploadModule {
  static forRoot(options: UploadOptions): DynamicModule {
    return {
      module: UploadModule,
      global: true,
      imports: [ArrivalsModule],
      providers: [
        { provide: UPLOAD_OPTIONS, useValue: options },
        UploadRepository,
        Adoptions,
        Tickets,
        Uploads,
      ],
      exports: [Uploads],
    };
  }
}
