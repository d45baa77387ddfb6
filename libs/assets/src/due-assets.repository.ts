import { Injectable } from '@nestjs/common';
import { columnsSql, Database, type MediaAsset, statement } from '#libs/database';

/** An asset that is due for a check. */
export type DueAsset = Pick<MediaAsset, 'assetId' | 'ownerId' | 'status' | 'version' | 'nextCheckAt'>;

const DUE = columnsSql<MediaAsset>('a', ['assetId', 'ownerId', 'status', 'version', 'nextCheckAt']);
const UNFINISHED = `a.status in ('PENDING', 'PROCESSING', 'FAILED')`;

/** Which assets are due. Each condition contains that of a partial index over `next_check_at`. */
const WHICH = {
  /** PENDING before their deadline, PROCESSING and FAILED assets. */
  unfinished: `${UNFINISHED} and (a.status <> 'PENDING' or a.upload_deadline_at > $1)`,
  /** PENDING assets whose deadline has passed. With `status = 'PENDING'` the planner expects few rows, and sorts them all. */
  expired: `${UNFINISHED} and a.status not in ('PROCESSING', 'FAILED') and a.upload_deadline_at <= $1`,
  /** Terminal assets whose incoming object may still exist. */
  incoming: `a.incoming_present and a.status not in ('PENDING', 'PROCESSING', 'FAILED')`,
} as const;
export type Due = keyof typeof WHICH;

// The delays start at `now()`, because `$1` is the start of the run, which may be long ago.
const CHECK_AFTER = `case
    when status = 'PENDING' and upload_deadline_at > $1 then
      least(greatest($1, now()) + least(greatest($1 - created_at, interval '1 minute'), interval '1 hour'), upload_deadline_at)
    when status = 'PROCESSING' then
      greatest($1, now()) + least(greatest($1 - updated_at, interval '1 minute'), interval '10 minutes')
    when status in ('PENDING', 'FAILED') then greatest($1, now()) + interval '1 minute'
    else greatest($1, now()) + interval '10 minutes' end`;

/** Taking a row postpones its next check, so that it is checked again if the worker dies. */
const TAKE = (which: Due) =>
  statement<DueAsset>(
    `assets_take_${which}`,
    `with due as (
        select asset_id, next_check_at from media_assets a where ${WHICH[which]} and next_check_at <= $1 and owner_id <> all($3::bigint[])
        order by next_check_at limit $2 for update skip locked)
      update media_assets a set next_check_at = ${CHECK_AFTER} from due d
      where a.asset_id = d.asset_id and ${WHICH[which]}
      returning ${columnsSql<MediaAsset>('a', ['assetId', 'ownerId', 'status', 'version'])}, d.next_check_at as "nextCheckAt"`,
  );

const PEEK = (which: Due) =>
  statement<DueAsset>(
    `assets_peek_${which}`,
    `select ${DUE} from media_assets a
      where ${WHICH[which]} and next_check_at <= $1 and (next_check_at, asset_id) > ($3::timestamptz, $4::uuid)
        and owner_id <> all($5::bigint[])
      order by next_check_at, asset_id limit $2`,
  );

export const TAKES = { unfinished: TAKE('unfinished'), expired: TAKE('expired'), incoming: TAKE('incoming') };
export const PEEKS = { unfinished: PEEK('unfinished'), expired: PEEK('expired'), incoming: PEEK('incoming') };

const NIL = '00000000-0000-0000-0000-000000000000';

/** Assets that are due for a check, oldest first. */
@Injectable()
export class DueAssetsRepository {
  constructor(private readonly database: Database) {}

  /** Takes assets, each for one worker only, except those of the excluded owners. */
  async take(which: Due, now: Date, limit: number, excludedOwners: readonly bigint[]): Promise<DueAsset[]> {
    const rows = await this.database.query(TAKES[which], [now, limit, excludedOwners]);
    return rows.sort((a, b) => a.nextCheckAt.getTime() - b.nextCheckAt.getTime());
  }

  /** Lists the assets that {@link take} would take, after one of them. */
  peek(
    which: Due,
    now: Date,
    limit: number,
    excludedOwners: readonly bigint[],
    after?: DueAsset,
  ): Promise<DueAsset[]> {
    return this.database.query(PEEKS[which], [
      now,
      limit,
      after?.nextCheckAt ?? '-infinity',
      after?.assetId ?? NIL,
      excludedOwners,
    ]);
  }
}
