import { Counter, Gauge, type Registry } from 'prom-client';
import type { WebSocket } from 'ws';

/** What all sockets of one owner may have in this process. */
export interface OwnerLimits {
  readonly subscriptions: number;
  /** Sent, and not taken yet by whoever should read it. */
  readonly unsentBytes: number;
}

export interface Connection {
  readonly socket: WebSocket;
  /** Messages that came and wait for their owner's turn. */
  pending: number;
  /** Who opened it. */
  ownerId?: bigint;
  /** How many subscriptions it carries. */
  count?: () => number;
}

type Limit = 'sockets' | 'subscriptions' | 'bytes';

const MAX_SOCKETS = 100;

/** The open sockets by owner, and the limits of each owner in sockets, subscriptions and bytes. */
export class OwnerSockets {
  private readonly perOwner = new Map<bigint, Set<Connection>>();
  private readonly refusals: Counter<'limit'>;

  constructor(
    private readonly limits: OwnerLimits,
    registry: Registry,
  ) {
    const registers = [registry];
    this.refusals = new Counter({
      name: 'stowage_subscription_refusals_total',
      help: 'Sockets and subscriptions refused or ended by a limit of their owner: sockets, subscriptions, bytes',
      labelNames: ['limit'],
      registers,
    });
    const gauge = (name: string, help: string, valueOf: () => number) =>
      new Gauge({
        name,
        help,
        registers,
        collect() {
          this.set(valueOf());
        },
      });
    const all = () => [...this.perOwner.values()];
    const sum = (of: (sockets: Set<Connection>) => number) =>
      all().reduce((total, each) => total + of(each), 0);
    gauge('stowage_subscriptions', 'Open subscriptions', () => sum(subscriptionsOf));
    gauge('stowage_subscription_unsent_bytes', 'Bytes sent to subscribers that they have not taken yet', () =>
      sum(unsentOf),
    );
  }

  /** False when the owner has too many sockets already, or this one has ended meanwhile. */
  admit(connection: Connection, ownerId: bigint): boolean {
    if (connection.socket.readyState !== connection.socket.OPEN) return false;
    const open = this.perOwner.get(ownerId) ?? new Set();
    if (open.size >= MAX_SOCKETS) return this.refused('sockets');
    connection.ownerId = ownerId;
    this.perOwner.set(ownerId, open.add(connection));
    return true;
  }

  leave(connection: Connection): void {
    const { ownerId } = connection;
    if (ownerId === undefined) return;
    const open = this.perOwner.get(ownerId);
    open?.delete(connection);
    if (open?.size === 0) this.perOwner.delete(ownerId);
  }

  /** Whether the owner of this socket has no more subscriptions than they may have. */
  hasRoom(connection: Connection): boolean {
    return (
      subscriptionsOf(this.socketsLike(connection)) <= this.limits.subscriptions ||
      this.refused('subscriptions')
    );
  }

  /** Ends the socket that has left most unread, when all of this one's owner together have left too much. */
  endUnread(connection: Connection): void {
    const open = this.socketsLike(connection);
    if (unsentOf(open) <= this.limits.unsentBytes) return;
    const [most] = [...open].sort((a, b) => b.socket.bufferedAmount - a.socket.bufferedAmount);
    if (most === undefined) return;
    this.refused('bytes');
    // Before its end is heard of, the same bytes would end another one.
    this.leave(most);
    most.socket.terminate();
  }

  get maxSubscriptions(): number {
    return this.limits.subscriptions;
  }

  private socketsLike({ ownerId }: Connection): ReadonlySet<Connection> {
    return (ownerId === undefined ? undefined : this.perOwner.get(ownerId)) ?? new Set();
  }

  private refused(limit: Limit): false {
    this.refusals.inc({ limit });
    return false;
  }
}

const subscriptionsOf = (sockets: Iterable<Connection>): number => {
  let sum = 0;
  for (const { count } of sockets) sum += count?.() ?? 0;
  return sum;
};

const unsentOf = (sockets: Iterable<Connection>): number => {
  let sum = 0;
  for (const { socket } of sockets) sum += socket.bufferedAmount;
  return sum;
};
