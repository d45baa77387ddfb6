import { type DynamicModule, Module } from '@nestjs/common';
import { OwnDuplicates } from './own-duplicates.js';
import { UploadCompletion } from './upload-completion.js';
import { EventRetriesService } from './event-retries.service.js';
import { UploadSigner } from './upload-signer.js';
import { UploadMetrics } from './upload-metrics.js';
import { UPLOAD_OPTIONS, type UploadOptions } from './upload.options.js';
import { UploadRepository } from './upload.repository.js';
import { UploadService } from './upload.service.js';

/** Claims uploaded objects, in any process. Requires the modules of `assets`, `queue` and `database`, and `MetricsModule`. */
@Module({ providers: [UploadCompletion, UploadMetrics], exports: [UploadCompletion, UploadMetrics] })
export class UploadCompletionModule {}

/** Retries of storage events that became dead letters. Also requires a provider of the port `ObjectEventReader`. */
@Module({ imports: [UploadCompletionModule], providers: [EventRetriesService] })
export class EventRetriesModule {}

/** Upload requests of clients. Also requires `QuotaModule` and a provider of the port `UrlSigner`. */
@Module({})
export class UploadModule {
  static forRoot(options: UploadOptions): DynamicModule {
    return {
      module: UploadModule,
      global: true,
      imports: [UploadCompletionModule],
      providers: [
        { provide: UPLOAD_OPTIONS, useValue: options },
        UploadRepository,
        OwnDuplicates,
        UploadSigner,
        UploadService,
      ],
      exports: [UploadService],
    };
  }
}
