import { type BeforeApplicationShutdown, Injectable, type OnApplicationBootstrap } from '@nestjs/common';
import { Database, type Statement } from '#libs/database';

/** The channel on which {@link AssetFeed} listens; a notification holds asset ids with spaces between them. */
export const CHANNEL = 'stowage_assets';

const BATCH = 1_000;
/** What a process that died after its commit left undelivered is delivered by another within this time. */
const HEARTBEAT_MS = 1_000;
/** Commits that come together are delivered together. */
const GATHER_MS = 5;
/** Commits that come while others are delivered: a busy process delivers less often. */
const BUSY_GATHER_MS = 25;

// 200 ids fit into the 8000 bytes of a notification: https://www.postgresql.org/docs/current/sql-notify.html
const DELIVER: Statement<{ taken: number; notified: number }> = {
  name: 'events_deliver',
  text: `with due as (
      select id from domain_events where delivered_at is null order by id limit $1 for update skip locked),
    taken as (
      update domain_events e set delivered_at = now() from due where e.id = due.id returning e.asset_id),
    pages as (
      select string_agg(asset_id::text, ' ') as ids
      from (select asset_id, (row_number() over () - 1) / 200 as page from (select distinct asset_id from taken) a) p
      group by page)
    select (select count(*) from taken)::int as taken, (select count(pg_notify('${CHANNEL}', ids)) from pages)::int as notified`,
};

/**
 * Delivers the event log: claims what is undelivered (each event once among any number of processes, however late its
 * transaction committed) and tells all processes that listen which assets it was about. The telling and the mark are one
 * commit. It carries ids only and may be missed by whoever is not listening just then: listeners read again by themselves
 * from time to time.
 */
@Injectable()
export class EventRelay implements OnApplicationBootstrap, BeforeApplicationShutdown {
  private timer: NodeJS.Timeout | undefined;
  private running: Promise<void> | undefined;
  private again = false;
  private gathering = false;
  private started = false;

  constructor(private readonly database: Database) {}

  onApplicationBootstrap(): void {
    this.started = true;
    this.schedule(HEARTBEAT_MS);
  }

  async beforeApplicationShutdown(): Promise<void> {
    this.started = false;
    clearTimeout(this.timer);
    await this.running;
  }

  /** To be called after a commit that wrote events: without it they wait for the heartbeat. */
  wake(): void {
    if (!this.started) return;
    if (this.running !== undefined) this.again = true;
    else if (!this.gathering) {
      // Not put off by those who come after: under load they come without a pause.
      this.gathering = true;
      this.schedule(GATHER_MS);
    }
  }

  private schedule(ms: number): void {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => {
      this.gathering = false;
      this.running = this.deliver().finally(() => {
        this.running = undefined;
        if (!this.started) return;
        this.schedule(this.again ? BUSY_GATHER_MS : HEARTBEAT_MS);
        this.again = false;
      });
    }, ms);
  }

  /** A database that is down is nothing to report from here: the next heartbeat tries again. */
  private async deliver(): Promise<void> {
    try {
      const [row] = await this.database.query(DELIVER, [BATCH]);
      if ((row?.taken ?? 0) === BATCH) this.again = true;
    } catch {
      this.again = false;
    }
  }
}
