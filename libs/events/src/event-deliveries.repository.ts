import { Injectable } from '@nestjs/common';
import { Database, statement, type Tx } from '#libs/database';
import type { AssetEvent } from './on-asset-event.js';

/** An attempt to deliver an event to a consumer. */
export interface Delivery extends AssetEvent {
  readonly consumer: string;
  /** Attempts so far, with this one. */
  readonly attempts: number;
  /** Time since the event, or since an operator retried its dead letter. */
  readonly ageMs: number;
}

/** Time after which a worker that took a delivery counts as crashed, as long as it does not hold the row. */
const LEASE = `interval '30 seconds' * (1 + random() / 2)`;
/** Blocked deliveries that one claim passes over per consumer. */
const MAX_BLOCKED = 100;

/**
 * Claims due deliveries for consumers with free slots. A delivery is blocked by an earlier one of its consumer and asset. Blocked
 * deliveries that are found are postponed until the time of the first one, so that claims do not meet them again and again; the end of
 * the blocking delivery makes the next one due at once, and the minute is for a worker that crashes in between. The attempt is counted
 * here, so that a crash uses it up. The leases differ, so that deliveries that were running in a crashed worker are not all running
 * together again.
 */
const CLAIM = statement<{ postponed: number } & (Delivery | { id: null })>(
  'events_claim_deliveries',
  `with wanted as (
      select w.consumer, w.slots from unnest($1::text[], $2::int[]) as w (consumer, slots)
        join event_consumers c on c.name = w.consumer and c.backfill_before is null),
    found as materialized (
      select w.consumer, d.event_id, d.next_at, d.blocked_until
      from wanted w cross join lateral (
        select d.event_id, d.next_at,
          (select b.next_at from event_deliveries b
            where b.consumer = d.consumer and b.asset_id = d.asset_id and b.event_id < d.event_id
            order by b.event_id limit 1) as blocked_until
        from event_deliveries d where d.consumer = w.consumer and d.next_at <= now()
        order by d.next_at limit w.slots + ${MAX_BLOCKED}) d),
    blocked as (
      select d.consumer, d.event_id, f.blocked_until
      from found f join event_deliveries d on d.consumer = f.consumer and d.event_id = f.event_id
      where f.blocked_until is not null and d.next_at <= now() for update of d skip locked),
    postponed as (
      update event_deliveries d set next_at = greatest(b.blocked_until, now() + interval '1 minute')
      from blocked b where d.consumer = b.consumer and d.event_id = b.event_id
      returning 1),
    taken as (
      select t.* from wanted w cross join lateral (
        select d.consumer, d.event_id
        from found f join event_deliveries d on d.consumer = f.consumer and d.event_id = f.event_id
        where f.consumer = w.consumer and f.blocked_until is null and d.next_at <= now()
        order by f.next_at, f.event_id limit w.slots for update of d skip locked) t),
    claimed as (
      update event_deliveries d set attempts = d.attempts + 1, next_at = now() + ${LEASE}
      from taken t where d.consumer = t.consumer and d.event_id = t.event_id
      returning d.consumer, d.event_id as id, d.type, d.asset_id as "assetId", d.owner_id as "ownerId", d.attempts,
        extract(epoch from now() - d.created_at)::float8 * 1000 as "ageMs")
    select p.postponed, c.* from (select count(*)::int as postponed from postponed) p left join claimed c on true`,
);

/**
 * Always writes the row: a claim that began before the blocking delivery ended would otherwise postpone the row afterwards.
 */
const RELEASE_NEXT = statement<{ id: bigint }>(
  'events_release_next',
  `update event_deliveries set next_at = now()
    where consumer = $1 and attempts = 0 and event_id = (
      select event_id from event_deliveries where consumer = $1 and asset_id = $2 order by event_id limit 1)
    returning event_id as id`,
);

const POSTPONE = statement<object>(
  'events_postpone_delivery',
  `update event_deliveries set attempts = $4, next_at = now() + $5 * interval '1 millisecond'
    where consumer = $1 and event_id = $2 and attempts = $3`,
);

/** The events that a consumer has not handled yet. */
export interface Backlog {
  readonly consumer: string;
  /** At most {@link MAX_COUNTED}. */
  readonly waiting: number;
  readonly oldestSeconds: number;
}

/** A count reads the rows, so it ends here. */
export const MAX_COUNTED = 10_000;
const BACKLOGS = statement<Backlog>(
  'events_backlogs',
  `select c.name as consumer,
      (select count(*)::int from (select 1 from event_deliveries d where d.consumer = c.name limit ${MAX_COUNTED}) w) as waiting,
      coalesce((select extract(epoch from now() - d.created_at)::float8 from event_deliveries d
        where d.consumer = c.name order by d.event_id limit 1), 0) as "oldestSeconds"
    from event_consumers c`,
);

/** Deliveries of events to consumers. All times are those of the database. */
@Injectable()
export class EventDeliveriesRepository {
  constructor(private readonly database: Database) {}

  /**
   * Claims due deliveries, for each consumer at most as many as it has free slots.
   * @returns the deliveries, and whether others may be due behind blocked ones
   */
  async claim(free: ReadonlyMap<string, number>): Promise<{ deliveries: Delivery[]; hasMore: boolean }> {
    const rows = await this.database.query(CLAIM, [[...free.keys()], [...free.values()]]);
    return {
      deliveries: rows.flatMap((row) => (row.id === null ? [] : row)),
      hasMore: rows.some(({ postponed }) => postponed > 0),
    };
  }

  /** Removes the delivery, and locks it until the transaction ends. False if another worker has claimed it meanwhile. */
  async remove(tx: Tx, { consumer, id, attempts }: Delivery): Promise<boolean> {
    const { count } = await tx.eventDelivery.deleteMany({ where: { consumer, eventId: id, attempts } });
    return count === 1;
  }

  /** Makes the next delivery of the consumer and asset due. */
  async releaseNext({ consumer, assetId }: Delivery): Promise<void> {
    await this.database.query(RELEASE_NEXT, [consumer, assetId]);
  }

  /** Ends the attempt and sets the time of the next one. No effect if another worker has claimed the delivery meanwhile. */
  async postpone({ consumer, id, attempts }: Delivery, leftAttempts: number, delayMs: number): Promise<void> {
    await this.database.query(POSTPONE, [consumer, id, attempts, leftAttempts, delayMs]);
  }

  /** Adds a delivery again. False if the consumer is not registered. */
  async add(tx: Tx, consumer: string, { id, type, assetId, ownerId }: AssetEvent): Promise<boolean> {
    const count = await tx.$executeRawUnsafe(
      `insert into event_deliveries (consumer, event_id, type, asset_id, owner_id)
       select name, $2::bigint, $3, $4::uuid, $5::bigint from event_consumers where name = $1 for share
       on conflict (consumer, event_id) do update set next_at = excluded.next_at`,
      consumer,
      id,
      type,
      assetId,
      ownerId,
    );
    return count === 1;
  }

  /** The backlogs of all registered consumers. */
  backlogs(): Promise<Backlog[]> {
    return this.database.query(BACKLOGS, []);
  }
}
