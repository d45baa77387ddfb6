import type { Backlog, BacklogMessage, DeliveryRef } from '../store/backlog.js';
import type { Database } from '../store/database.js';
import { deadLettered, readAckIds } from './deliveries.js';
import type { RpcError } from '../errors.js';
import type { NewMessage } from '../rpc/messages.js';
import { availableAgainAt } from '../store/subscription-settings.js';
import type { Subscription } from '../store/subscriptions.js';

/** Receiver of messages: a stream or a waiting pull. */
export interface Consumer {
  /** Length of a lease in milliseconds. */
  readonly leaseMs: number;
  /** Delivery pauses while this much is unacknowledged. The last message may exceed `maxBytes`. */
  readonly maxMessages: number;
  readonly maxBytes: number;
  /** False while the last batch is still being sent. The consumer wakes the feed when it is ready again. */
  ready(): boolean;
  deliver(batch: readonly BacklogMessage[]): void;
  end(error: RpcError): void;
}

/** A consumer and the number and bytes of its unacknowledged messages. */
interface Member {
  readonly consumer: Consumer;
  messages: number;
  bytes: number;
}

interface Lease {
  readonly member: Member;
  readonly attempt: number;
  readonly size: number;
  until: number;
}

/** The part of a batch for one consumer; `messages` and `bytes` are its remaining capacity. */
interface Share {
  readonly member: Member;
  readonly batch: BacklogMessage[];
  messages: number;
  bytes: number;
}

/** Dependencies of a {@link Feed}. */
export interface FeedContext {
  readonly database: Database;
  readonly backlog: Backlog;
  readonly now: () => number;
  readonly onError: (error: unknown) => void;
  /** Stores messages inside the running transaction; returns false when the topic does not exist. */
  readonly publish: (topicName: string, messages: readonly NewMessage[]) => boolean;
}

/** Limits of one page that is read and one batch that is sent. */
const PAGE_MESSAGES = 1000;
const BATCH_BYTES = 4 * 1024 * 1024;

/**
 * Delivers one subscription's backlog to its consumers, each message to one of them. Only the messages that consumers
 * hold are in memory; due messages are read from the backlog page by page.
 */
export class Feed {
  private members: Member[] = [];
  private readonly leases = new Map<number, Lease>();
  private queued: Promise<void> | undefined;
  private running: Promise<void> | undefined;
  private ended = false;

  constructor(
    private readonly subscription: Subscription,
    private readonly context: FeedContext,
  ) {}

  /** Adds a consumer and returns the function that removes it. Its leases stay until they expire. */
  join(consumer: Consumer): () => void {
    const member = { consumer, messages: 0, bytes: 0 };
    this.members.push(member);
    void this.wake();
    return () => {
      this.members = this.members.filter((other) => other !== member);
      for (const [messageId, lease] of this.leases) {
        if (lease.member === member) this.leases.delete(messageId);
      }
    };
  }

  /** Delivers due messages in the running or the next transaction; resolves after the consumers received them. */
  wake(): Promise<void> {
    const idle = this.members.length === 0 && !this.subscription.settings.deadLetter;
    if (idle || this.ended) return Promise.resolve();
    // One delivery at a time: until the last one is complete, the members do not count the messages it gave them.
    this.queued ??= this.running ? this.running.then(() => this.deliverDue()) : this.deliverDue();
    return this.queued;
  }

  async acknowledge(ackIds: readonly string[] | null | undefined): Promise<void> {
    const { database, backlog, now } = this.context;
    const refs = readAckIds(this.subscription, ackIds);
    this.subscription.activeAt = now();
    await database.submit(() => {
      for (const ref of refs) backlog.acknowledge(this.subscription.id, ref);
    });
    for (const ref of refs) this.release(ref);
    void this.wake();
  }

  /** Sets the leases to end `seconds` from now; 0 is a negative acknowledgement. */
  async modifyDeadline(ackIds: readonly string[] | null | undefined, seconds: number): Promise<void> {
    const { database, backlog, now } = this.context;
    const refs = readAckIds(this.subscription, ackIds);
    const until = now() + seconds * 1000;
    this.subscription.activeAt = now();
    await database.submit(() => {
      for (const ref of refs) {
        const availableAt = availableAgainAt(this.subscription.settings, ref.attempt, until);
        if (seconds === 0) backlog.refuse(this.subscription.id, ref, availableAt);
        else backlog.extend(this.subscription.id, ref, availableAt);
      }
    });
    for (const ref of refs) {
      const lease = this.leases.get(ref.messageId);
      if (seconds === 0) this.release(ref);
      else if (lease?.attempt === ref.attempt) lease.until = until;
    }
    if (seconds === 0) void this.wake();
  }

  /** Releases expired leases, whose messages become available again, and delivers due messages. */
  tick(): void {
    const now = this.context.now();
    if (this.members.length > 0) this.subscription.activeAt = now;
    for (const [messageId, { attempt, until }] of this.leases) {
      if (until <= now) this.release({ messageId, attempt });
    }
    void this.wake();
  }

  /** Ends the consumers and delivers no more: the subscription was deleted or the emulator stops. */
  end(error: RpcError): void {
    this.ended = true;
    for (const { consumer } of this.members) consumer.end(error);
  }

  private release({ messageId, attempt }: DeliveryRef): void {
    const lease = this.leases.get(messageId);
    if (lease?.attempt !== attempt) return;
    this.leases.delete(messageId);
    lease.member.messages -= 1;
    lease.member.bytes -= lease.size;
  }

  private async deliverDue(): Promise<void> {
    try {
      const { now, shares, more } = await this.context.database.submit(() => {
        this.running = this.queued;
        this.queued = undefined;
        return this.leaseShares();
      });
      for (const share of shares) this.deliverShare(share, now);
      this.running = undefined;
      if (more) void this.wake();
    } catch (error) {
      this.running = this.queued = undefined;
      this.context.onError(error);
    }
  }

  /** Inside a transaction: distributes a page of due messages among the members in turn, and leases them. */
  private leaseShares(): { now: number; shares: Share[]; more: boolean } {
    const { backlog, now: clock } = this.context;
    const { id, settings } = this.subscription;
    const now = clock();
    if (this.ended) return { now, shares: [], more: false };
    if (this.forwardExhausted(now)) return { now, shares: [], more: true };
    const open = this.members.filter(hasCapacity).map(shareOf);
    const shares = [...open];
    if (open.length === 0) return { now, shares, more: false };
    let read = 0;
    let turn = 0;
    for (const message of backlog.due(id, now, PAGE_MESSAGES)) {
      read += 1;
      turn %= open.length;
      const share = open[turn];
      if (!share) break;
      share.batch.push({ ...message, attempt: message.attempt + 1 });
      share.messages -= 1;
      share.bytes -= message.size;
      if (share.messages > 0 && share.bytes > 0) turn += 1;
      else open.splice(turn, 1);
      if (open.length === 0) break;
    }
    for (const { member, batch } of shares) {
      for (const message of batch) {
        const until = now + member.consumer.leaseMs;
        backlog.lease(id, message.id, availableAgainAt(settings, message.attempt, until));
      }
    }
    return { now, shares, more: read === PAGE_MESSAGES };
  }

  /** After the commit: counts the leased messages and sends them. The members take turns in being first. */
  private deliverShare({ member, batch }: Share, now: number): void {
    if (batch.length === 0 || !this.members.includes(member)) return;
    for (const { id, attempt, size } of batch) {
      this.release({ messageId: id, attempt: attempt - 1 });
      this.leases.set(id, { member, attempt, size, until: now + member.consumer.leaseMs });
      member.messages += 1;
      member.bytes += size;
    }
    this.members = [...this.members.filter((other) => other !== member), member];
    member.consumer.deliver(batch);
  }

  /**
   * Moves messages without remaining attempts to the dead-letter topic, in one transaction with their removal here.
   * Returns true when there may be more. If the dead-letter topic does not exist, the messages are delivered as before.
   */
  private forwardExhausted(now: number): boolean {
    const { backlog, publish } = this.context;
    const { id, settings } = this.subscription;
    if (!settings.deadLetter) return false;
    const { topic, maxAttempts } = settings.deadLetter;
    const messages = backlog.exhausted(id, maxAttempts, now, PAGE_MESSAGES);
    if (messages.length === 0) return false;
    const forwarded = messages.map((message) => deadLettered(this.subscription, message));
    if (!publish(topic, forwarded)) return false;
    for (const message of messages) backlog.drop(id, message.id);
    return messages.length === PAGE_MESSAGES;
  }
}

const hasCapacity = ({ consumer, messages, bytes }: Member) =>
  consumer.ready() && messages < consumer.maxMessages && bytes < consumer.maxBytes;

const shareOf = (member: Member): Share => ({
  member,
  batch: [],
  messages: Math.min(member.consumer.maxMessages - member.messages, PAGE_MESSAGES),
  bytes: Math.min(member.consumer.maxBytes - member.bytes, BATCH_BYTES),
});
