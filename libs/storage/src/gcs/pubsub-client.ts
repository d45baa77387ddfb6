import { PubSub } from '@google-cloud/pubsub';
import type { ClientConfig } from '@google-cloud/pubsub';

/** Project and endpoint of a Pub/Sub client. */
export interface PubSubOptions {
  readonly projectId?: string;
  /** `host:port` of an emulator; without it the client uses the real service and application default credentials. */
  readonly emulator?: string;
}

/** Creates the official client; its channel retries a lost connection at least every 10 s. */
export function pubSubClient({ projectId, emulator }: PubSubOptions): PubSub {
  const config: ClientConfig & { 'grpc.max_reconnect_backoff_ms': number } = {
    projectId,
    'grpc.max_reconnect_backoff_ms': 10_000,
    ...(emulator !== undefined && {
      apiEndpoint: emulator,
      emulatorMode: true,
      // Set explicitly because the client would otherwise query a metadata server.
      clientOptions: { universeDomain: 'googleapis.com' },
    }),
  };
  return new PubSub(config);
}
