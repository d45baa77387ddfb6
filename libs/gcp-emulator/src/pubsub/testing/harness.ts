import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { PubSub, v1 } from '@google-cloud/pubsub';
import type { CreateSubscriptionOptions, Subscription, Topic } from '@google-cloud/pubsub';
import { credentials } from '@grpc/grpc-js';
import { startPubSubEmulator } from '../server.js';
import type { PubSubEmulator } from '../server.js';

/** A message that the test received by a unary Pull. */
export interface Received {
  readonly ackId: string;
  readonly attempt: number;
  readonly id: string;
  readonly text: string;
  readonly attributes: Record<string, string>;
}

/** One emulator on a free port with its own directory, a clock that the test sets, and official clients. */
export class PubSubHarness {
  readonly project = 'test-project';
  /** The emulator's clock, in milliseconds since the epoch. */
  time = Date.now();
  readonly errors: unknown[] = [];
  emulator: PubSubEmulator;
  private readonly opened: { close(): Promise<unknown> }[] = [];

  private constructor(readonly dataDir: string) {}

  static async start(): Promise<PubSubHarness> {
    const harness = new PubSubHarness(await mkdtemp(path.join(tmpdir(), 'pubsub-')));
    await harness.startEmulator(0);
    return harness;
  }

  async startEmulator(port: number): Promise<void> {
    this.emulator = await startPubSubEmulator({
      port,
      dataDir: this.dataDir,
      now: () => this.time,
      onError: (error) => this.errors.push(error),
    });
  }

  /** Stops the emulator and starts it on the same port and directory. */
  async restart(): Promise<void> {
    const { port } = this.emulator;
    await this.emulator.close();
    await this.startEmulator(port);
  }

  client(): PubSub {
    const { project: projectId, emulator } = this;
    const pubsub = new PubSub({ projectId, apiEndpoint: emulator.address, emulatorMode: true });
    this.opened.push(pubsub);
    return pubsub;
  }

  /** The generated client, for unary Pull and for StreamingPull frame by frame. */
  subscriberClient(): v1.SubscriberClient {
    const client = new v1.SubscriberClient({
      projectId: this.project,
      servicePath: '127.0.0.1',
      port: this.emulator.port,
      sslCreds: credentials.createInsecure(),
    });
    this.opened.push(client);
    return client;
  }

  publisherClient(): v1.PublisherClient {
    const client = new v1.PublisherClient({
      projectId: this.project,
      servicePath: '127.0.0.1',
      port: this.emulator.port,
      sslCreds: credentials.createInsecure(),
    });
    this.opened.push(client);
    return client;
  }

  async topic(
    id: string,
    subscriptionId: string,
    options?: CreateSubscriptionOptions,
  ): Promise<[Topic, Subscription]> {
    const pubsub = this.client();
    const [topic] = await pubsub.createTopic(id);
    const [subscription] = await topic.createSubscription(subscriptionId, options);
    return [topic, subscription];
  }

  /** Receives the messages that are available now, by unary Pull. */
  async pull(client: v1.SubscriberClient, subscription: string, maxMessages = 100): Promise<Received[]> {
    const [response] = await client.pull({ subscription, maxMessages, returnImmediately: true });
    return (response.receivedMessages ?? []).map(({ ackId, deliveryAttempt, message }) => ({
      ackId: ackId ?? '',
      attempt: deliveryAttempt ?? 0,
      id: message?.messageId ?? '',
      text: Buffer.from(message?.data ?? '').toString(),
      attributes: message?.attributes ?? {},
    }));
  }

  async close(): Promise<void> {
    await Promise.all(this.opened.map((client) => client.close()));
    await this.emulator.close();
    await rm(this.dataDir, { recursive: true, force: true });
  }
}

/** Resolves when the condition holds; rejects if it does not hold within `timeoutMs`. */
export async function eventually(
  condition: () => boolean | Promise<boolean>,
  timeoutMs = 15_000,
): Promise<void> {
  const deadline = Date.now() + timeoutMs;
  while (!(await condition())) {
    if (Date.now() > deadline)
      throw new Error(`condition not met within ${timeoutMs} ms: ${condition.toString()}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
