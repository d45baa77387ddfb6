import { Injectable } from '@nestjs/common';
import { Database, type Statement } from '#libs/database';

export interface Unfinished {
  readonly assetId: string;
  readonly ownerId: string;
  readonly status: 'PENDING' | 'PROCESSING' | 'FAILED';
  readonly version: number;
}

export interface Waste {
  readonly assetId: string;
  readonly ownerId: string;
}

// Taking a row moves its next look ahead first: whoever dies with it leaves it to be taken again. From when it is taken: a sweep
// may have begun long before.
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

export const TAKE_WASTE: Statement<Waste> = {
  name: 'lifecycle_take_waste',
  text: `update media_assets set next_check_at = greatest($1, now()) + interval '10 minutes'
    where asset_id in (
      select asset_id from media_assets
      where incoming_present and status not in ('PENDING', 'PROCESSING', 'FAILED') and next_check_at <= $1
        and owner_id <> all($3::bigint[])
      order by next_check_at limit $2 for update skip locked)
    returning asset_id as "assetId", owner_id::text as "ownerId"`,
};

/** What is due, the oldest first, each once among all who ask; nothing of the owners in `aside`. */
@Injectable()
export class SweeperRepository {
  constructor(private readonly database: Database) {}

  takeUnfinished(now: Date, limit: number, aside: readonly string[]): Promise<Unfinished[]> {
    return this.database.query(TAKE_UNFINISHED, [now, limit, aside]);
  }

  takeWaste(now: Date, limit: number, aside: readonly string[]): Promise<Waste[]> {
    return this.database.query(TAKE_WASTE, [now, limit, aside]);
  }
}
