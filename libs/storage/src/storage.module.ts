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

/** The adapters that an app binds to the storage ports. */
export interface StorageAdapters {
  readonly store: ObjectStore;
  /** Bucket that the health check reads. */
  readonly probedBucket: string;
  /** Resumable uploads: the API opens sessions, the worker ends them. */
  readonly sessions: UploadSessions;
  /** Needed only by a process that signs URLs. */
  readonly signer?: UrlSigner;
  /** Needed only by a process that receives events or checks their health. */
  readonly events?: ObjectEvents;
  /** Needed only by a process that replays stored events. */
  readonly eventReader?: ObjectEventReader;
}

const PROBED_BUCKET = Symbol('PROBED_BUCKET');

/** Binds the storage ports to an app's adapters and registers their health checks. Needs `HealthModule`. */
@Global()
@Module({})
export class StorageModule implements OnApplicationShutdown {
  static forRoot(adapters: StorageAdapters): DynamicModule {
    const { store, sessions, probedBucket, signer, events, eventReader } = adapters;
    const ports = [
      { provide: ObjectStore, useValue: store },
      { provide: UploadSessions, useValue: sessions },
      { provide: UrlSigner, useValue: signer },
      { provide: ObjectEvents, useValue: events },
      { provide: ObjectEventReader, useValue: eventReader },
    ].filter(({ useValue }) => useValue !== undefined);
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

  /** Closes the client. A subscriber has stopped it by now, but a process that only checks health never does. */
  async onApplicationShutdown(): Promise<void> {
    await this.events?.stop(0);
  }
}
