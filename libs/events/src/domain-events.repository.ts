import { Injectable } from '@nestjs/common';
import { afterCommit, Database, statement, type Tx } from '#libs/database';
import type { DomainEvent } from '#libs/domain';

/** Notification channel of {@link AssetFeed}. A notification is a list of asset ids, separated by spaces. */
export const CHANNEL = 'stowage_assets';

// 200 ids fit into the 8000 bytes of a notification: https://www.postgresql.org/docs/current/sql-notify.html
const DELIVER = statement<{ taken: number; notified: number }>(
  'events_deliver',
  `with due as (
      select id from domain_events where delivered_at is null order by id limit $1 for update skip locked),
    taken as (
      update domain_events e set delivered_at = now() from due where e.id = due.id returning e.asset_id),
    pages as (
      select string_agg(asset_id::text, ' ') as ids
      from (select asset_id, (row_number() over () - 1) / 200 as page from (select distinct asset_id from taken) a) p
      group by page)
    select (select count(*) from taken)::int as taken, (select count(pg_notify('${CHANNEL}', ids)) from pages)::int as notified`,
);

const WAS_PURGED = statement<object>(
  'events_was_purged',
  `select from domain_events where type = 'asset.purged' and asset_id = $1::uuid limit 1`,
);

/** Reads the first events only: the log is in the order of time but for transactions that ran at once, so no index of times is needed. */
export const PRUNE = statement<{ pruned: number }>(
  'events_prune',
  `with first as materialized (select id, created_at, delivered_at from domain_events order by id limit $2),
    pruned as (
      delete from domain_events e using first f
      where e.id = f.id and f.created_at < $1 and f.delivered_at is not null returning 1)
    select count(*)::int as pruned from pruned`,
);

/** Log of domain events. */
@Injectable()
export class DomainEventsRepository {
  private readonly listeners: (() => void)[] = [];

  constructor(private readonly database: Database) {}

  /**
   * Writes an event in the transaction of the change that it describes, and announces it after the commit.
   * @throws Error if `tx` is not the transaction of a running `Database.transaction`
   * @example
   * await events.append(tx, { type: 'asset.purged', assetId, ownerId });
   */
  async append(tx: Tx, event: DomainEvent): Promise<void> {
    await tx.domainEvent.create({ data: event, select: { id: true } });
    this.announceAfterCommit(tx);
  }

  /** Call in a transaction whose statements wrote events by themselves. */
  announceAfterCommit(tx: Tx): void {
    afterCommit(tx, () => this.announce());
  }

  /** Call after a committed statement that wrote events by itself. Otherwise they wait up to a second for their delivery. */
  announce(): void {
    for (const listener of this.listeners) listener();
  }

  /** Calls `listener` after each commit of this process that wrote events. */
  onAnnouncement(listener: () => void): void {
    this.listeners.push(listener);
  }

  /**
   * Claims undelivered events, `limit` at most, and notifies all listening processes, in one commit.
   * @returns the number of claimed events
   */
  async deliver(limit: number): Promise<number> {
    const [row] = await this.database.query(DELIVER, [limit]);
    return row!.taken;
  }

  /** Whether an asset was purged. False for an asset that never existed, and when the event is no longer retained. */
  async wasPurged(assetId: string): Promise<boolean> {
    return (await this.database.query(WAS_PURGED, [assetId])).length > 0;
  }

  /** Removes delivered events of before `cutoff`, `limit` at most. @returns the number of removed events */
  async prune(cutoff: Date, limit: number): Promise<number> {
    const [row] = await this.database.query(PRUNE, [cutoff, limit]);
    return row!.pruned;
  }

  /** Number of events that {@link prune} removes. Reads the whole log. */
  countPrunable(cutoff: Date): Promise<number> {
    const where = { createdAt: { lt: cutoff }, deliveredAt: { not: null } };
    return this.database.read((prisma) => prisma.domainEvent.count({ where }));
  }
}
