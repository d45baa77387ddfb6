import { Injectable } from '@nestjs/common';
import { PinoLogger } from 'nestjs-pino';
import { Database, statement } from '#libs/database';
import { removal, StowageTask, type TaskContext, type TaskStep } from '#libs/runtime';

/** Milliseconds for which an expired grant is kept, so that an explanation of access can name it. */
const KEPT_MS = 24 * 3_600_000;
/** Grants that one statement removes at most. */
export const EXPIRED_GRANT_BATCH = 1_000;

interface Batch {
  /** Expired grants that were found. */
  readonly found: number;
  readonly removed: number;
  /** The latest expiry of the found grants. */
  readonly last: Date | null;
}

/**
 * Removes grants that expired between two times. The statement skips locked rows, so it never waits for a grant that is being extended,
 * and PostgreSQL checks the times again on each row that it locks, so a grant that was extended since the start of the statement stays.
 * The removal is by `ctid`, because the planner may join keys by a scan of the whole table; it leaves out rows that got a new version
 * since the start.
 */
export const REMOVE_EXPIRED = statement<Batch>(
  'access_remove_expired',
  `with due as (
      select ctid, expires_at from asset_acl
      where expires_at >= $1::timestamptz and expires_at < $2::timestamptz
      order by expires_at limit (select $3::int) for update skip locked),
    removed as (
      delete from asset_acl where ctid = any(array(select ctid from due)) returning 1)
    select count(*)::int as found, (select count(*)::int from removed) as removed, max(expires_at) as last from due`,
);

/** Removes expired grants, which give no access but stand in the indexes of lists. */
@Injectable()
export class ExpiredGrantsService {
  constructor(
    private readonly database: Database,
    private readonly logger: PinoLogger,
  ) {
    logger.setContext(ExpiredGrantsService.name);
  }

  /**
   * Removes the grants that expired more than {@link KEPT_MS} ago, in the order of their expiry. Each batch is a transaction
   * of its own. A grant that another transaction has locked is left for the next run.
   * @returns the number of removed grants
   * @throws StowageError unavailable
   */
  async removeExpired({ now, signal }: Pick<TaskContext, 'now' | 'signal'>): Promise<number> {
    const end = new Date(now.getTime() - KEPT_MS);
    let grants = 0;
    // A batch starts at the end of the previous one, because index entries of removed rows stay until a vacuum.
    let start: Date | string = '-infinity';
    for (let isMore = true; isMore && !signal.aborted;) {
      const { found, removed, last } = await this.removeBatch(start, end);
      grants += removed;
      start = last ?? end;
      isMore = found === EXPIRED_GRANT_BATCH;
    }
    if (grants > 0) this.logger.info({ grants }, 'expired grants removed');
    return grants;
  }

  @StowageTask('expired-grants', { cron: '20 * * * *' })
  *expiredGrants(context: TaskContext): Generator<TaskStep> {
    const where = { expiresAt: { lt: new Date(context.now.getTime() - KEPT_MS) } };
    const count = () => this.database.read((prisma) => prisma.assetAcl.count({ where }));
    yield removal('asset_acl', context, count, () => this.removeExpired(context));
  }

  private async removeBatch(start: Date | string, end: Date): Promise<Batch> {
    const [batch] = await this.database.query(REMOVE_EXPIRED, [start, end, EXPIRED_GRANT_BATCH]);
    return batch!;
  }
}
