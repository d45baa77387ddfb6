import { Module } from '@nestjs/common';
import { DownloadUrlResolver, VariantUrlResolver } from './download-url.resolver.js';

@Module({ providers: [DownloadUrlResolver, VariantUrlResolver] })
export class DeliveryGraphQLModule {}
