import { type DynamicModule, Module } from '@nestjs/common';
import { DELIVERY_OPTIONS, type DeliveryOptions, DownloadUrlsService } from './download-urls.service.js';

/** Signs download URLs. Needs `AssetsModule` and a provider of the port `UrlSigner`. */
@Module({})
export class DeliveryModule {
  static forRoot(options: DeliveryOptions): DynamicModule {
    return {
      module: DeliveryModule,
      global: true,
      providers: [{ provide: DELIVERY_OPTIONS, useValue: options }, DownloadUrlsService],
      exports: [DownloadUrlsService],
    };
  }
}
