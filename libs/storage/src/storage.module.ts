import {
  type DynamicModule,
  Global,
  Inject,
  Injectable,
  Module,
  type OnApplicationShutdown,
} from '@nestjs/common';
import { HealthCheck } from '#libs/runtime';
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

@Injectable()
class StoreHealth {
  constructor(
    private readonly store: ObjectStore,
    @Inject(PROBED_BUCKET) private readonly bucket: string,
  ) {}

  @HealthCheck('storage')
  check(signal: AbortSignal): Promise<unknown> {
    return this.store.stat({ bucket: this.bucket, key: 'health' }, { signal });
  }
}

@Injectable()
class EventsHealth implements OnApplicationShutdown {
  constructor(private readonly events: ObjectEvents) {}

  @HealthCheck('pubsub')
  check(signal: AbortSignal): Promise<unknown> {
    return this.events.check(signal);
  }

  /** Closes the client. A subscriber has stopped it by now, but a process that only checks health never does. */
  async onApplicationShutdown(): Promise<void> {
    await this.events.stop(0);
  }
}

/** Binds the storage ports to an app's adapters, with their health checks. */
@Global()
@Module({})
export class StorageModule {
  static forRoot(adapters: StorageAdapters): DynamicModule {
    const { store, sessions, probedBucket, signer, events, eventReader } = adapters;
    const ports = [
      { provide: ObjectStore, useValue: store },
      { provide: UploadSessions, useValue: sessions },
      { provide: UrlSigner, useValue: signer },
      { provide: ObjectEvents, useValue: events },
      { provide: ObjectEventReader, useValue: eventReader },
    ].filter(({ useValue }) => useValue !== undefined);
    const checks = events === undefined ? [StoreHealth] : [StoreHealth, EventsHealth];
    return {
      module: StorageModule,
      providers: [...ports, { provide: PROBED_BUCKET, useValue: probedBucket }, ...checks],
      exports: ports.map(({ provide }) => provide),
    };
  }
}
