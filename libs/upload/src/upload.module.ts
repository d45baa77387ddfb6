import { Module } from '@nestjs/common';
import { AssetsModule } from '#libs/assets';
import { QueueModule } from '#libs/queue';
import { QuotaModule } from '#libs/quota';
import { ContributionsModule } from '#libs/runtime';
import { AllowedTypesPolicy } from './allowed-types.policy.js';
import { NewAssetsRepository } from './new-assets.repository.js';
import { OwnDuplicatesRepository } from './own-duplicates.repository.js';
import { UploadCompletion } from './upload-completion.js';
import { EventRetriesService } from './event-retries.service.js';
import { UploadPolicies } from './upload-policies.js';
import { UploadPreparation } from './upload-preparation.js';
import { UploadSigner } from './upload-signer.js';
import { UploadTasks } from './upload-tasks.js';
import { UploadMetrics } from './upload-metrics.js';
import { UploadRepository } from './upload.repository.js';
import { UploadService } from './upload.service.js';

/** Claims uploaded objects, in any process. Requires `DatabaseModule` and `MetricsModule`. */
@Module({
  imports: [AssetsModule],
  providers: [UploadCompletion, UploadMetrics],
  exports: [UploadCompletion, UploadMetrics],
})
export class UploadCompletionModule {}

/** The scheduled tasks of uploads, for the worker. */
@Module({ imports: [AssetsModule, UploadCompletionModule], providers: [UploadTasks] })
export class UploadTasksModule {}

/** Retries of storage events that became dead letters. Also requires a provider of the port `ObjectEventReader`. */
@Module({ imports: [QueueModule, UploadCompletionModule], providers: [EventRetriesService] })
export class EventRetriesModule {}

/** Upload requests of clients. Also requires a provider of the port `UrlSigner`. */
@Module({
  imports: [AssetsModule, ContributionsModule, QuotaModule, UploadCompletionModule],
  providers: [
    AllowedTypesPolicy,
    NewAssetsRepository,
    OwnDuplicatesRepository,
    UploadPolicies,
    UploadPreparation,
    UploadRepository,
    UploadService,
    UploadSigner,
  ],
  exports: [UploadService],
})
export class UploadModule {}
