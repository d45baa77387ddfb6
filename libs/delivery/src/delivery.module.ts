import { Module } from '@nestjs/common';
import { AssetsModule } from '#libs/assets';
import { DownloadUrlsService } from './download-urls.service.js';

/** Signs download URLs. Needs a provider of the port `UrlSigner`. */
@Module({ imports: [AssetsModule], providers: [DownloadUrlsService], exports: [DownloadUrlsService] })
export class DeliveryModule {}
