import { Injectable } from '@nestjs/common';
import { CloseCode } from 'graphql-ws';
import { Counter, Registry } from 'prom-client';
import type { WebSocket } from 'ws';
import type { Actor } from '#libs/domain';
import { isRevokedBy, type Revocations, TokenRevocationsService } from '#libs/identity';
import { Bytes, MetricGauge, Variable, Whole } from '#libs/runtime';

/** Limits for all sockets of one owner together, in this process. */
export class SubscriptionsConfig {
  /** Maximum number of open subscriptions of one owner, over all of the owner's sockets. */
  @Variable('SUBSCRIPTIONS_PER_OWNER')
  @Whole(1)
  readonly subscriptions: number = 1000;

  /** Bytes that all sockets of one owner may leave unread before the socket with the most unread bytes is closed. */
  @Variable('SUBSCRIPTION_BYTES_PER_OWNER')
  @Bytes()
  readonly unsentBytes: number = 8 * 2 ** 20;
}

export interface Connection {
  readonly socket: WebSocket;
  /** Number of received messages that wait for the rate limiter. */
  pending: number;
  /** Owner who opened the socket; undefined until authentication. */
  ownerId?: bigint;
  /** Caller by the token that opened the socket. */
  actor?: Actor;
  /** Number of open subscriptions on the socket. */
  count?: () => number;
}

type Limit = 'sockets' | 'subscriptions' | 'bytes';

const MAX_SOCKETS = 100;
/** Time for a client to answer the close of its socket, in milliseconds. */
const CLOSE_TIMEOUT_MS = 2_000;

/**
 * Tracks open sockets by owner, enforces each owner's limits on sockets, subscriptions and unread bytes, and closes the sockets of
 * revoked tokens.
 */
@Injectable()
export class OwnerSockets {
  private readonly perOwner = new Map<Connection['ownerId'], Set<Connection>>();
  private readonly refusals: Counter<'limit'>;

  constructor(
    private readonly limits: SubscriptionsConfig,
    registry: Registry,
    revocations: TokenRevocationsService,
  ) {
    revocations.onChange((changed) => this.closeRevoked(changed));
    this.refusals = new Counter({
      name: 'stowage_subscription_refusals_total',
      help: 'Number of sockets and subscriptions refused or closed, by the limit of the owner that was exceeded',
      labelNames: ['limit'],
      registers: [registry],
    });
  }

  @MetricGauge('stowage_subscriptions', 'Number of open subscriptions')
  countSubscriptions(): number {
    return sum(this.all(), subscriptions);
  }

  @MetricGauge('stowage_subscription_unsent_bytes', 'Bytes sent to subscribers and not read by them yet')
  countUnsentBytes(): number {
    return sum(this.all(), unsentBytes);
  }

  /**
   * Adds an authenticated socket. False if the owner has too many sockets, or if the socket has closed in the meantime.
   */
  admit(connection: Connection, actor: Actor): boolean {
    const { ownerId } = actor;
    if (connection.socket.readyState !== connection.socket.OPEN) return false;
    const open = this.perOwner.get(ownerId) ?? new Set();
    if (open.size >= MAX_SOCKETS) return this.refused('sockets');
    connection.ownerId = ownerId;
    connection.actor = actor;
    this.perOwner.set(ownerId, open.add(connection));
    return true;
  }

  leave(connection: Connection): void {
    const open = this.perOwner.get(connection.ownerId);
    open?.delete(connection);
    if (open?.size === 0) this.perOwner.delete(connection.ownerId);
  }

  /** Whether the owner's subscriptions, including the new one, are within the limit. */
  canSubscribe(connection: Connection): boolean {
    return (
      sum(this.socketsOfOwner(connection), subscriptions) <= this.limits.subscriptions ||
      this.refused('subscriptions')
    );
  }

  /** Closes the owner's socket with the most unread bytes if all sockets of the owner together exceed the limit. */
  enforceUnsentLimit(connection: Connection): void {
    const open = this.socketsOfOwner(connection);
    if (sum(open, unsentBytes) <= this.limits.unsentBytes) return;
    const [most] = [...open].sort((a, b) => unsentBytes(b) - unsentBytes(a));
    if (most === undefined) return;
    this.refused('bytes');
    // Removes the socket now: until its close event, its bytes would still count and close another socket.
    this.leave(most);
    most.socket.terminate();
  }

  /** Closes the sockets whose token one of the revocations ends, and so their subscriptions. */
  private closeRevoked(changed: Revocations): void {
    for (const connection of this.all()) {
      const { actor, socket } = connection;
      if (actor === undefined || !isRevokedBy(changed, actor)) continue;
      this.leave(connection);
      socket.close(CloseCode.Unauthorized, 'TOKEN_REVOKED');
      // Until the close event, the subscriptions would go on reading.
      setTimeout(() => socket.terminate(), CLOSE_TIMEOUT_MS).unref();
    }
  }

  get maxSubscriptions(): number {
    return this.limits.subscriptions;
  }

  private all(): Connection[] {
    return [...this.perOwner.values()].flatMap((sockets) => [...sockets]);
  }

  private socketsOfOwner({ ownerId }: Connection): ReadonlySet<Connection> {
    return this.perOwner.get(ownerId) ?? new Set();
  }

  private refused(limit: Limit): false {
    this.refusals.inc({ limit });
    return false;
  }
}

const subscriptions = ({ count }: Connection) => count?.() ?? 0;
const unsentBytes = ({ socket }: Connection) => socket.bufferedAmount;

function sum(sockets: Iterable<Connection>, value: (connection: Connection) => number): number {
  let total = 0;
  for (const each of sockets) total += value(each);
  return total;
}
