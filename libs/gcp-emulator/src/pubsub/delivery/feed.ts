import type { Backlog, BacklogMessage, DeliveryRef } from '../store/backlog.js';
import type { Database } from '../store/database.js';
import { deadLettered, readAckIds } from './deliveries.js';
import type { RpcError } from '../errors.js';
import type { NewMessage } from '../rpc/messages.js';
import { availableAgainAt } from '../store/subscription-settings.js';
import type { Subscription } from '../store/subscriptions.js';

/** Who messages are handed to: a stream, or a waiting pull. */
export interface Consumer {
  readonly leaseMs: number;
  /** No more is handed over while this much is unacknowledged. The last message may go beyond `maxBytes`. */
  readonly maxMessages: number;
  readonly maxBytes: number;
  /** False while it still chews on its last batch. It wakes the feed when that is over. */
  ready(): boolean;
  deliver(batch: readonly BacklogMessage[]): void;
  end(error: RpcError): void;
}

/** A consumer and what it holds unacknowledged. */
interface Seat {
  readonly consumer: Consumer;
  messages: number;
  bytes: number;
}

interface Lease {
  readonly seat: Seat;
  readonly attempt: number;
  readonly size: number;
  until: number;
}

interface Share {
  readonly seat: Seat;
  readonly batch: BacklogMessage[];
  messages: number;
  bytes: number;
}

export interface FeedContext {
  readonly database: Database;
  readonly backlog: Backlog;
  readonly now: () => number;
  readonly onError: (error: unknown) => void;
  /** Stores messages inside the running transaction; false when there is no such topic. */
  readonly publish: (topicName: string, messages: readonly NewMessage[]) => boolean;
}

/** Bounds of what one turn reads and one response carries. */
const PAGE_MESSAGES = 1000;
const BATCH_BYTES = 4 * 1024 * 1024;

/**
 * Hands one subscription's backlog to its consumers, each message to one of them. Only what the consumers hold is in
 * memory; what is due is read from the backlog page by page.
 */
export class Feed {
  private seats: Seat[] = [];
  private readonly leases = new Map<number, Lease>();
  private queued: Promise<void> | undefined;
  private running: Promise<void> | undefined;
  private ended = false;

  constructor(
    private readonly subscription: Subscription,
    private readonly context: FeedContext,
  ) {}

  /** Seats a consumer and answers how it leaves. Its leases outlive it. */
  join(consumer: Consumer): () => void {
    const seat = { consumer, messages: 0, bytes: 0 };
    this.seats.push(seat);
    void this.wake();
    return () => {
      this.seats = this.seats.filter((other) => other !== seat);
      for (const [messageId, lease] of this.leases) {
        if (lease.seat === seat) this.leases.delete(messageId);
      }
    };
  }

  /** Hands out what is due, in the transaction that runs or is next; resolves when it has been handed over. */
  wake(): Promise<void> {
    const idle = this.seats.length === 0 && !this.subscription.settings.deadLetter;
    if (idle || this.ended) return Promise.resolve();
    // One hand-out at a time: until the last one is settled, the seats do not show what it gave them.
    this.queued ??= this.running ? this.running.then(() => this.handOut()) : this.handOut();
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

  /** What time brings: leases that ran out no longer count as held, and become available again. */
  tick(): void {
    const now = this.context.now();
    if (this.seats.length > 0) this.subscription.activeAt = now;
    for (const [messageId, { attempt, until }] of this.leases) {
      if (until <= now) this.release({ messageId, attempt });
    }
    void this.wake();
  }

  /** Ends the consumers, and hands out no more: the subscription is gone, or the emulator stops. */
  end(error: RpcError): void {
    this.ended = true;
    for (const { consumer } of this.seats) consumer.end(error);
  }

  private release({ messageId, attempt }: DeliveryRef): void {
    const lease = this.leases.get(messageId);
    if (lease?.attempt !== attempt) return;
    this.leases.delete(messageId);
    lease.seat.messages -= 1;
    lease.seat.bytes -= lease.size;
  }

  private async handOut(): Promise<void> {
    try {
      const { now, shares, more } = await this.context.database.submit(() => {
        this.running = this.queued;
        this.queued = undefined;
        return this.leaseShares();
      });
      for (const share of shares) this.settle(share, now);
      this.running = undefined;
      if (more) void this.wake();
    } catch (error) {
      this.running = this.queued = undefined;
      this.context.onError(error);
    }
  }

  /** Inside a transaction: shares a page of what is due among the seats in turn, and leases it to them. */
  private leaseShares(): { now: number; shares: Share[]; more: boolean } {
    const { backlog, now: clock } = this.context;
    const { id, settings } = this.subscription;
    const now = clock();
    if (this.ended) return { now, shares: [], more: false };
    if (this.forwardExhausted(now)) return { now, shares: [], more: true };
    const open = this.seats.filter(hasRoom).map(shareOf);
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
    for (const { seat, batch } of shares) {
      for (const message of batch) {
        const until = now + seat.consumer.leaseMs;
        backlog.lease(id, message.id, availableAgainAt(settings, message.attempt, until));
      }
    }
    return { now, shares, more: read === PAGE_MESSAGES };
  }

  /** After the commit: what was leased is held, and goes out. The seats take turns in being first. */
  private settle({ seat, batch }: Share, now: number): void {
    if (batch.length === 0 || !this.seats.includes(seat)) return;
    for (const { id, attempt, size } of batch) {
      this.release({ messageId: id, attempt: attempt - 1 });
      this.leases.set(id, { seat, attempt, size, until: now + seat.consumer.leaseMs });
      seat.messages += 1;
      seat.bytes += size;
    }
    this.seats = [...this.seats.filter((other) => other !== seat), seat];
    seat.consumer.deliver(batch);
  }

  /**
   * Moves what has no attempts left, in one transaction with its removal here. True when there may be more. Without the
   * dead-letter topic nothing moves, and the messages are handed out as ever.
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

const hasRoom = ({ consumer, messages, bytes }: Seat) =>
  consumer.ready() && messages < consumer.maxMessages && bytes < consumer.maxBytes;

const shareOf = (seat: Seat): Share => ({
  seat,
  batch: [],
  messages: Math.min(seat.consumer.maxMessages - seat.messages, PAGE_MESSAGES),
  bytes: Math.min(seat.consumer.maxBytes - seat.bytes, BATCH_BYTES),
});
