import { Injectable } from '@nestjs/common';
import { Database, statement, type Tx } from '#libs/database';
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

/** Log of domain events. */
@Injectable()
export class DomainEventsRepository {
  constructor(private readonly database: Database) {}

  /**
   * Writes an event in the transaction of the change that it describes. Call {@link EventRelay.wake} after the commit.
   * @example
   * await events.append(tx, { type: 'asset.purged', assetId, ownerId });
   */
  async append(tx: Tx, event: DomainEvent): Promise<void> {
    await tx.domainEvent.create({ data: event, select: { id: true } });
  }

  /**
   * Claims undelivered events, `limit` at most, and notifies all listening processes, in one commit.
   * @returns the number of claimed events
   */
  async deliver(limit: number): Promise<number> {
    const [row] = await this.database.query(DELIVER, [limit]);
    return row!.taken;
  }
}
