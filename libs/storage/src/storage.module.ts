import {
  type DynamicModule,
  Global,
  Inject,
  Module,
  type OnApplicationShutdown,
  Optional,
} from '@nestjs/common';
import { HealthChecks } from '#libs/runtime';
import { ObjectEventReader, ObjectEvents } from './object-events.js';
import { ObjectStore } from './object-store.js';
import { UploadSessions } from './upload-sessions.js';
import { UrlSigner } from './url-signer.js';

export interface StorageAdapters {
  readonly store: ObjectStore;
  /** Where `/health/ready` looks. */
  readonly probedBucket: string;
  /** Resumable uploads: the api opens sessions, the worker ends them. */
  readonly sessions: UploadSessions;
  /** Only where URLs are handed out. */
  readonly signer?: UrlSigner;
  /** Only where events are taken, or asked for their health. */
  readonly events?: ObjectEvents;
  /** Only where events that were kept are handed in again. */
  readonly eventReader?: ObjectEventReader;
}

const PROBED_BUCKET = Symbol('PROBED_BUCKET');

/** Binds the ports to the adapters that an app chose. Needs `HealthModule`. */
@Global()
@Module({})
export class StorageModule implements OnApplicationShutdown {
  static forRoot(adapters: StorageAdapters): DynamicModule {
    const { store, sessions, probedBucket, signer, events, eventReader } = adapters;
    const ports = [
      { provide: ObjectStore, useValue: store },
      { provide: UploadSessions, useValue: sessions },
      ...(signer === undefined ? [] : [{ provide: UrlSigner, useValue: signer }]),
      ...(events === undefined ? [] : [{ provide: ObjectEvents, useValue: events }]),
      ...(eventReader === undefined ? [] : [{ provide: ObjectEventReader, useValue: eventReader }]),
    ];
    return {
      module: StorageModule,
      providers: [...ports, { provide: PROBED_BUCKET, useValue: probedBucket }],
      exports: ports.map(({ provide }) => provide),
    };
  }

  constructor(
    health: HealthChecks,
    store: ObjectStore,
    @Inject(PROBED_BUCKET) bucket: string,
    @Optional() private readonly events?: ObjectEvents,
  ) {
    health.add('storage', (signal) => store.stat({ bucket, key: 'health' }, { signal }));
    if (events !== undefined) health.add('pubsub', (signal) => events.check(signal));
  }

  /** Whoever took events has stopped by then; a client that was only asked how it is has not. */
  async onApplicationShutdown(): Promise<void> {
    await this.events?.stop(0);
  }
}
