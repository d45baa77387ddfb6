import { Module } from '@nestjs/common';
import { UploadResolver } from './upload.resolver.js';

@Module({ providers: [UploadResolver] })
export class UploadGraphQLModule {}
