import { Injectable } from '@nestjs/common';
import { columnsSql, Database, type MediaAsset, statement } from '#libs/database';

/** An asset that is due for a check of the sweeper. */
export type DueAsset = Pick<MediaAsset, 'assetId' | 'ownerId' | 'status' | 'version'>;

const DUE = columnsSql<MediaAsset>('a', ['assetId', 'ownerId', 'status', 'version']);

// Taking a row postpones its next check, so that the row is taken again if the worker crashes. The delay starts at `now()`, because
// `$1` is the start of the sweep, which may be long ago.
export const TAKE_UNFINISHED = statement<DueAsset>(
  'lifecycle_take_unfinished',
  `update media_assets a set next_check_at = case
      when status = 'PENDING' and upload_deadline_at > $1 then
        least(greatest($1, now()) + least(greatest($1 - created_at, interval '1 minute'), interval '1 hour'), upload_deadline_at)
      when status = 'PROCESSING' then
        greatest($1, now()) + least(greatest($1 - updated_at, interval '1 minute'), interval '10 minutes')
      else greatest($1, now()) + interval '1 minute' end
    where asset_id in (
      select asset_id from media_assets where status in ('PENDING', 'PROCESSING', 'FAILED') and next_check_at <= $1
        and owner_id <> all($3::bigint[])
      order by next_check_at limit $2 for update skip locked)
      and status in ('PENDING', 'PROCESSING', 'FAILED')
    returning ${DUE}`,
);

export const TAKE_ABANDONED = statement<DueAsset>(
  'lifecycle_take_waste',
  `update media_assets a set next_check_at = greatest($1, now()) + interval '10 minutes'
    where asset_id in (
      select asset_id from media_assets
      where incoming_present and status not in ('PENDING', 'PROCESSING', 'FAILED') and next_check_at <= $1
        and owner_id <> all($3::bigint[])
      order by next_check_at limit $2 for update skip locked)
    returning ${DUE}`,
);

/** Takes the assets that are due for a check, oldest first and each by one worker only, except those of the excluded owners. */
@Injectable()
export class DueAssetsRepository {
  constructor(private readonly database: Database) {}

  /** PENDING, PROCESSING and FAILED assets. */
  takeUnfinished(now: Date, limit: number, excludedOwners: readonly bigint[]): Promise<DueAsset[]> {
    return this.database.query(TAKE_UNFINISHED, [now, limit, excludedOwners]);
  }

  /** Terminal assets whose incoming object may still exist. */
  takeAbandoned(now: Date, limit: number, excludedOwners: readonly bigint[]): Promise<DueAsset[]> {
    return this.database.query(TAKE_ABANDONED, [now, limit, excludedOwners]);
  }
}
