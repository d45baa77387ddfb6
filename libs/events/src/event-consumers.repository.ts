import { Injectable } from '@nestjs/common';
import { Database, statement } from '#libs/database';
import type { ConsumerDeclaration } from './on-asset-event.js';

/** A consumer as the database knows it. */
export interface RegisteredConsumer {
  readonly name: string;
  readonly types: readonly string[];
  readonly isBackfilling: boolean;
}

const SEE = statement<RegisteredConsumer>(
  'events_see_consumers',
  `with seen as (
      update event_consumers set seen_at = now() where name = any($1::text[]) and seen_at < now() - interval '5 minutes')
    select name, types, backfill_before is not null as "isBackfilling" from event_consumers where name = any($1::text[])`,
);

const REMOVE_UNSEEN = statement<{ name: string }>(
  'events_remove_unseen',
  'delete from event_consumers where seen_at < $1 returning name',
);

/** Finds the names in `event_deliveries` by one index probe each. */
const REMOVE_ORPHANS = statement<{ removed: number }>(
  'events_remove_orphans',
  `with recursive names as (
      (select consumer from event_deliveries order by consumer limit 1)
      union all
      select (select d.consumer from event_deliveries d where d.consumer > n.consumer order by d.consumer limit 1)
      from names n where n.consumer is not null),
    orphan as (
      select n.consumer from names n
      where n.consumer is not null and not exists (select from event_consumers c where c.name = n.consumer) limit 1),
    removed as (
      delete from event_deliveries d
      where d.consumer = (select consumer from orphan) and d.event_id = any(array(
        select l.event_id from event_deliveries l where l.consumer = (select consumer from orphan) order by l.event_id limit $1))
      returning 1)
    select count(*)::int as removed from removed`,
);

/**
 * Longest time for which a registration holds up the writers of events. Exceeds `deadlock_timeout` (1 s), after which PostgreSQL
 * cancels an autovacuum that is in the way.
 */
const LOCK_TIMEOUT = '2s';
const BACKFILL_BATCH = 5_000;

/** Registered consumers. The trigger on `domain_events` writes a delivery for each that consumes the event's type. */
@Injectable()
export class EventConsumersRepository {
  constructor(private readonly database: Database) {}

  /** Records that consumers are in use, at most every five minutes, and returns those that are registered. */
  see(names: readonly string[]): Promise<RegisteredConsumer[]> {
    return this.database.query(SEE, [names]);
  }

  /**
   * Registers a consumer, unless it is registered. The lock waits for all transactions that have written events and holds up new
   * ones. So each event is either committed before the registration and has a lower id than all later events, or gets its delivery
   * from the trigger.
   * @throws StowageError unavailable, also if other transactions do not end in time
   */
  async register({ name, types, from }: ConsumerDeclaration): Promise<void> {
    await this.database.transaction(async (tx) => {
      await tx.$executeRawUnsafe(`set local lock_timeout = '${LOCK_TIMEOUT}'`);
      await tx.$executeRawUnsafe('lock table domain_events in share row exclusive mode');
      await tx.$executeRawUnsafe(
        `insert into event_consumers (name, types, backfill_before)
         select $1, $2::text[], case when $3 then coalesce(max(id), 0) + 1 end from domain_events
         on conflict (name) do nothing`,
        name,
        [...types],
        from === 'beginning',
      );
    });
  }

  /**
   * Adds the deliveries of one batch of retained events, newest first, to a consumer that starts from the beginning. Its events are
   * delivered after the last batch, because events of an asset in different batches have an order. The row lock makes workers take
   * turns: a batch that was added twice could bring back delivered events.
   * @returns whether there is another batch
   */
  backfill(name: string): Promise<boolean> {
    return this.database.transaction(async (tx) => {
      const [consumer] = await tx.$queryRawUnsafe<{ before: bigint }[]>(
        `select backfill_before as before from event_consumers
         where name = $1 and backfill_before is not null for no key update`,
        name,
      );
      if (consumer === undefined) return false;
      const [page] = await tx.$queryRawUnsafe<{ first: bigint | null }[]>(
        `with page as (select * from domain_events where id < $2 order by id desc limit ${BACKFILL_BATCH}),
          added as (
            insert into event_deliveries (consumer, event_id, type, asset_id, owner_id)
            select c.name, e.id, e.type, e.asset_id, e.owner_id
            from event_consumers c join page e on e.type = any(c.types) where c.name = $1
            on conflict do nothing)
         select min(id) as first from page`,
        name,
        consumer.before,
      );
      const backfillBefore = page!.first;
      await tx.eventConsumer.update({ where: { name }, data: { backfillBefore }, select: { name: true } });
      return backfillBefore !== null;
    });
  }

  /** Removes the consumers that no worker has run since `cutoff`. @returns their names */
  async removeUnseen(cutoff: Date): Promise<string[]> {
    return (await this.database.query(REMOVE_UNSEEN, [cutoff])).map(({ name }) => name);
  }

  /**
   * Removes deliveries of one removed consumer, `limit` at most. A consumer that is registered again meanwhile loses none of its new
   * deliveries, because the statement does not see them.
   * @returns the number of removed deliveries
   */
  async removeOrphans(limit: number): Promise<number> {
    const [row] = await this.database.query(REMOVE_ORPHANS, [limit]);
    return row!.removed;
  }
}
