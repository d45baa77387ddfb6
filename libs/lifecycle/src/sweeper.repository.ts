import { Injectable } from '@nestjs/common';
import { Database, type Statement } from '#libs/database';

/** A PENDING, PROCESSING or FAILED asset that is due for a sweep. */
export interface Unfinished {
  readonly assetId: string;
  readonly ownerId: string;
  readonly status: 'PENDING' | 'PROCESSING' | 'FAILED';
  readonly version: number;
}

/** A terminal asset whose incoming object may still exist. */
export interface AbandonedObject {
  readonly assetId: string;
  readonly ownerId: string;
}

// Taking a row postpones its next check, so that the row is taken again if the worker crashes. The delay starts at `now()`, because
// `$1` is the start of the sweep, which may be long ago.
export const TAKE_UNFINISHED: Statement<Unfinished> = {
  name: 'lifecycle_take_unfinished',
  text: `update media_assets set next_check_at = case
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
    returning asset_id as "assetId", owner_id::text as "ownerId", status, version`,
};

export const TAKE_ABANDONED: Statement<AbandonedObject> = {
  name: 'lifecycle_take_waste',
  text: `update media_assets set next_check_at = greatest($1, now()) + interval '10 minutes'
    where asset_id in (
      select asset_id from media_assets
      where incoming_present and status not in ('PENDING', 'PROCESSING', 'FAILED') and next_check_at <= $1
        and owner_id <> all($3::bigint[])
      order by next_check_at limit $2 for update skip locked)
    returning asset_id as "assetId", owner_id::text as "ownerId"`,
};

/** Takes the rows that are due, oldest first and each by one worker only, except those of the excluded owners. */
@Injectable()
export class SweeperRepository {
  constructor(private readonly database: Database) {}

  takeUnfinished(now: Date, limit: number, excludedOwners: readonly string[]): Promise<Unfinished[]> {
    return this.database.query(TAKE_UNFINISHED, [now, limit, excludedOwners]);
  }

  takeAbandoned(now: Date, limit: number, excludedOwners: readonly string[]): Promise<AbandonedObject[]> {
    return this.database.query(TAKE_ABANDONED, [now, limit, excludedOwners]);
  }
}
