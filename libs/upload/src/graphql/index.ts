import { Module } from '@nestjs/common';
import { EventRetriesModule, UploadModule } from '../upload.module.js';
import { UploadResolver } from './upload.resolver.js';

export { UPLOAD_BATCH } from './upload.resolver.js';

@Module({ imports: [EventRetriesModule, UploadModule], providers: [UploadResolver] })
export class UploadGraphQLModule {}
