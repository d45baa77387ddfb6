import { Server, ServerCredentials } from '@grpc/grpc-js';
import { Backlog } from './store/backlog.js';
import { Database } from './store/database.js';
import { Dispatcher } from './delivery/dispatcher.js';
import { admissionInterceptor } from './rpc/admission.js';
import { publisherService } from './rpc/publisher.js';
import { subscriberService } from './rpc/subscriber.js';
import { Subscriptions } from './store/subscriptions.js';
import { Sweeper } from './store/sweeper.js';
import { Topics } from './store/topics.js';
import { loadServices } from './rpc/wire.js';

/** Options of {@link startPubSubEmulator}. */
export interface PubSubEmulatorOptions {
  /** Address to listen on. Default 127.0.0.1. */
  readonly host?: string;
  /** Port to listen on; 0 takes a free one. */
  readonly port: number;
  /**
   * Values of Host (`:authority`) that are accepted besides loopback's names with the port, such as `pubsub:3002`.
   * Default: none.
   */
  readonly allowedHosts?: readonly string[];
  /** Directory of the backlog; created if missing. Only one emulator at a time can use it. */
  readonly dataDir: string;
  /** Milliseconds since the epoch. Default: the system's clock. */
  readonly now?: () => number;
  /** Receives internal errors, which callers see only as INTERNAL. Default: they are dropped. */
  readonly onError?: (error: unknown) => void;
}

/** A running emulator. */
export interface PubSubEmulator {
  readonly port: number;
  /** host:port, for `PUBSUB_EMULATOR_HOST` or the client's `apiEndpoint`. */
  readonly address: string;
  /** Ends the streams with UNAVAILABLE, on which clients reconnect; stops listening; closes the file. */
  close(): Promise<void>;
}

/** Interval of the checks for expired leases, elapsed backoffs and retention. */
const HEARTBEAT_MS = 100;
/** How long calls in flight may take to finish when the emulator closes. */
const CLOSE_GRACE_MS = 1000;
/** Above the service's limit of 10 MB for a publish request, so that the service's error is returned and not gRPC's. */
const MAX_REQUEST_BYTES = 32 * 1024 * 1024;

/**
 * Starts a Pub/Sub service for development and tests. The official clients work unmodified. A message is on disk before
 * Publish returns. Delivery is at least once; a lease and its ack id survive a reconnect and a restart.
 * @throws {Error} with one sentence when the port is taken or the backlog file is damaged or in use
 * @example
 * const emulator = await startPubSubEmulator({ port: 0, dataDir });
 * const pubsub = new PubSub({ projectId: 'dev', apiEndpoint: emulator.address, emulatorMode: true });
 */
export async function startPubSubEmulator(options: PubSubEmulatorOptions): Promise<PubSubEmulator> {
  const { host = '127.0.0.1', now = Date.now, onError = () => undefined } = options;
  const database = Database.open(options.dataDir);
  const backlog = new Backlog(database);
  const topics = new Topics(database);
  const subscriptions = new Subscriptions(database, topics, now);
  const dispatcher = new Dispatcher({ database, backlog, topics, subscriptions, now, onError });
  const sweeper = new Sweeper({ database, backlog, subscriptions, dispatcher, onError });

  const server = new Server({
    'grpc.max_receive_message_length': MAX_REQUEST_BYTES,
    interceptors: [admissionInterceptor(options.allowedHosts ?? [])],
  });
  const services = loadServices();
  const parts = { topics, subscriptions, dispatcher, onError };
  server.addService(services.publisher, publisherService(parts));
  server.addService(services.subscriber, subscriberService(parts));
  const port = await listen(server, host, options.port).catch((error: unknown) => {
    database.close();
    throw error;
  });

  const heartbeat = setInterval(() => {
    dispatcher.tick();
    sweeper.tick(now());
  }, HEARTBEAT_MS);
  const close = async () => {
    clearInterval(heartbeat);
    dispatcher.close();
    await shutDown(server);
    database.close();
  };
  let closing: Promise<void> | undefined;
  return { port, address: formatAddress(host, port), close: () => (closing ??= close()) };
}

const formatAddress = (host: string, port: number) => `${host.includes(':') ? `[${host}]` : host}:${port}`;

function listen(server: Server, host: string, port: number): Promise<number> {
  const address = formatAddress(host, port);
  return new Promise((resolve, reject) => {
    server.bindAsync(address, ServerCredentials.createInsecure(), (error, bound) => {
      if (!error) return resolve(bound);
      const inUse = error.message.includes('EADDRINUSE');
      const reason = inUse ? 'the port is already in use' : error.message;
      reject(new Error(`The Pub/Sub emulator cannot listen on ${address}: ${reason}.`, { cause: error }));
    });
  });
}

function shutDown(server: Server): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => server.forceShutdown(), CLOSE_GRACE_MS);
    server.tryShutdown(() => {
      clearTimeout(timer);
      resolve();
    });
  });
}
