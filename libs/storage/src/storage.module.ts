import { type DynamicModule, Global, Module } from '@nestjs/common';
import { ObjectEventReader, ObjectEvents } from './object-events.js';
import { ObjectStore } from './object-store.js';
import { UrlSigner } from './url-signer.js';

export interface StorageAdapters {
  readonly store: ObjectStore;
  /** Only where URLs are handed out. */
  readonly signer?: UrlSigner;
  /** Only where events are taken. */
  readonly events?: ObjectEvents;
  /** Only where events that were kept are handed in again. */
  readonly eventReader?: ObjectEventReader;
}

/** Binds the ports to the adapters that an app chose. */
@Global()
@Module({})
export class StorageModule {
  static forRoot({ store, signer, events, eventReader }: StorageAdapters): DynamicModule {
    const providers = [
      { provide: ObjectStore, useValue: store },
      ...(signer === undefined ? [] : [{ provide: UrlSigner, useValue: signer }]),
      ...(events === undefined ? [] : [{ provide: ObjectEvents, useValue: events }]),
      ...(eventReader === undefined ? [] : [{ provide: ObjectEventReader, useValue: eventReader }]),
    ];
    return { module: StorageModule, providers, exports: providers.map(({ provide }) => provide) };
  }
}
