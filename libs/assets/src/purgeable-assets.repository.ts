import { Injectable } from '@nestjs/common';
import { columnsSql, Database, type MediaAsset, statement } from '#libs/database';

const COLUMNS = [
  'assetId',
  'ownerId',
  'status',
  'version',
  'sizeBytes',
  'claimedGeneration',
  'incomingPresent',
] as const satisfies readonly (keyof MediaAsset)[];

/** A position in the order in which the retention of assets ends. */
export interface PurgePosition {
  /** When the asset was deleted or its upload finished. */
  readonly since: Date;
  readonly assetId: string;
}

/** An asset that may be purged once its retention has ended. */
export type PurgeableAsset = Pick<MediaAsset, (typeof COLUMNS)[number]> & PurgePosition;

/** Which assets may be purged, in terms of the partial indexes for them, and the start of their retention. */
const WHICH = {
  deleted: { where: `a.status = 'DELETED'`, since: 'a.deleted_at' },
  finished: { where: `a.status in ('EXPIRED', 'CANCELLED', 'REJECTED')`, since: 'a.updated_at' },
} as const;
export type Purgeable = keyof typeof WHICH;

const PAGE = (which: Purgeable) => {
  const { where, since } = WHICH[which];
  return statement<PurgeableAsset>(
    `assets_purgeable_${which}`,
    `select ${columnsSql<MediaAsset>('a', COLUMNS)}, ${since} as since from media_assets a
      where ${where} and ${since} < $1 and (${since}, a.asset_id) > ($3::timestamptz, $4::uuid)
      order by ${since}, a.asset_id limit $2`,
  );
};

export const PURGEABLE = { deleted: PAGE('deleted'), finished: PAGE('finished') };

const NIL = '00000000-0000-0000-0000-000000000000';

/** Assets whose retention has ended, those first whose retention began first. */
@Injectable()
export class PurgeableAssetsRepository {
  constructor(private readonly database: Database) {}

  /** @param before the start of the retentions that have ended */
  page(which: Purgeable, before: Date, limit: number, after?: PurgePosition): Promise<PurgeableAsset[]> {
    const { since = '-infinity', assetId = NIL } = after ?? {};
    return this.database.query(PURGEABLE[which], [before, limit, since, assetId]);
  }
}
