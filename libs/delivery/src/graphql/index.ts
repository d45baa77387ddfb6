import { Module } from '@nestjs/common';
import { DeliveryModule } from '../delivery.module.js';
import { DownloadUrlResolver, VariantUrlResolver } from './download-url.resolver.js';

@Module({ imports: [DeliveryModule], providers: [DownloadUrlResolver, VariantUrlResolver] })
export class DeliveryGraphQLModule {}
