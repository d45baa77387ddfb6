import { Module } from '@nestjs/common';
import { EventRetriesModule } from '../upload.module.js';
import { UploadResolver } from './upload.resolver.js';

export { UPLOAD_BATCH } from './upload.resolver.js';

@Module({ imports: [EventRetriesModule], providers: [UploadResolver] })
export class UploadGraphQLModule {}
