import { PubSub } from '@google-cloud/pubsub';
import type { ClientConfig } from '@google-cloud/pubsub';

export interface PubSubOptions {
  readonly projectId?: string;
  /** `host:port` of an emulator; without it the real service and the application default credentials. */
  readonly emulator?: string;
}

/** The official client, whose channel tries a server that is gone at least every 10 s. */
export function pubSubClient({ projectId, emulator }: PubSubOptions): PubSub {
  const config: ClientConfig & { 'grpc.max_reconnect_backoff_ms': number } = {
    projectId,
    'grpc.max_reconnect_backoff_ms': 10_000,
    ...(emulator !== undefined && {
      apiEndpoint: emulator,
      emulatorMode: true,
      // Known, so that the client does not go looking for a metadata server.
      clientOptions: { universeDomain: 'googleapis.com' },
    }),
  };
  return new PubSub(config);
}
