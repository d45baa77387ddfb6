import type { protos } from '@google-cloud/pubsub';
import type { ServerDuplexStream } from '@grpc/grpc-js';
import type { BacklogMessage } from '../store/backlog.js';
import { receivedMessage } from './deliveries.js';
import { checkRange, invalidArgument } from '../errors.js';
import type { RpcError } from '../errors.js';
import type { Consumer, Feed } from './feed.js';
import type { Subscription } from '../store/subscriptions.js';

type Request = protos.google.pubsub.v1.IStreamingPullRequest;
type Response = protos.google.pubsub.v1.IStreamingPullResponse;
export type StreamingPullCall = ServerDuplexStream<Request, Response>;

/** A limit of 0 or less means unlimited. */
const limit = (value: Request['maxOutstandingMessages']) => (Number(value) > 0 ? Number(value) : Infinity);

const isEmpty = (frame: Request) =>
  !frame.ackIds?.length && !frame.modifyDeadlineAckIds?.length && !frame.streamAckDeadlineSeconds;

/**
 * One StreamingPull call, after its first frame.
 * https://cloud.google.com/pubsub/docs/reference/rpc/google.pubsub.v1#streamingpullrequest
 */
export class PullStream implements Consumer {
  readonly maxMessages: number;
  readonly maxBytes: number;
  leaseMs: number;
  private readonly answersKeepAlive: boolean;
  private readonly leave: () => void;
  private open = true;
  private writing = false;

  constructor(
    private readonly call: StreamingPullCall,
    private readonly subscription: Subscription,
    private readonly feed: Feed,
    first: Request,
  ) {
    this.leaseMs = readDeadline(first) * 1000;
    this.maxMessages = limit(first.maxOutstandingMessages);
    this.maxBytes = limit(first.maxOutstandingBytes);
    this.answersKeepAlive = Number(first.protocolVersion) >= 1;
    this.handleAcks(first);
    this.leave = feed.join(this);
  }

  ready(): boolean {
    return this.open && !this.writing;
  }

  /** Sends a batch only after the connection has accepted the last one, so a slow reader does not fill the memory. */
  deliver(batch: readonly BacklogMessage[]): void {
    this.writing = true;
    this.write(
      batch.map((message) => receivedMessage(this.subscription, message)),
      () => {
        this.writing = false;
        void this.feed.wake();
      },
    );
  }

  /**
   * Handles a frame after the first.
   * @throws {RpcError} INVALID_ARGUMENT, which ends the stream
   */
  receive(frame: Request): void {
    if (frame.subscription)
      throw invalidArgument('The subscription can only be set on the first StreamingPullRequest.');
    if (
      Number(frame.maxOutstandingMessages) ||
      Number(frame.maxOutstandingBytes) ||
      Number(frame.protocolVersion)
    ) {
      throw invalidArgument(
        'Flow control and protocol version can only be set on the first StreamingPullRequest.',
      );
    }
    if (frame.streamAckDeadlineSeconds) this.leaseMs = readDeadline(frame) * 1000;
    this.handleAcks(frame);
    // The client drops a stream of protocol version 1 when no frame follows its empty one within 15 seconds.
    if (this.answersKeepAlive && isEmpty(frame)) this.write([]);
  }

  end(error: RpcError): void {
    this.close();
    this.call.emit('error', error);
  }

  /** Leaves the leases in place until they expire: the client may still acknowledge the messages that it holds. */
  close(): void {
    this.open = false;
    this.leave();
  }

  private write(receivedMessages: Response['receivedMessages'], written?: () => void): void {
    if (!this.open) return;
    const subscriptionProperties = { exactlyOnceDeliveryEnabled: false, messageOrderingEnabled: false };
    this.call.write({ receivedMessages, subscriptionProperties }, written);
  }

  private handleAcks({ ackIds, modifyDeadlineAckIds, modifyDeadlineSeconds }: Request): void {
    const seconds = modifyDeadlineSeconds ?? [];
    if (seconds.length !== (modifyDeadlineAckIds?.length ?? 0)) {
      throw invalidArgument(
        'The lists modify_deadline_ack_ids and modify_deadline_seconds differ in length.',
      );
    }
    const failed = (error: RpcError) => {
      if (this.open) this.end(error);
    };
    if (ackIds?.length) this.feed.acknowledge(ackIds).catch(failed);
    for (const [index, ackId] of (modifyDeadlineAckIds ?? []).entries()) {
      checkRange('modify_deadline_seconds', seconds[index] ?? 0, 0, 600);
      this.feed.modifyDeadline([ackId], seconds[index] ?? 0).catch(failed);
    }
  }
}

function readDeadline({ streamAckDeadlineSeconds }: Request): number {
  checkRange('stream_ack_deadline_seconds', streamAckDeadlineSeconds ?? 0, 10, 600);
  return streamAckDeadlineSeconds ?? 0;
}
