import { Injectable } from '@nestjs/common';
import { columnsSql, Database, type MediaAsset, statement } from '#libs/database';

/** An upload session as the row records it: its encrypted URL, and when it expires. */
type RecordedSession = Pick<MediaAsset, 'urlExpiresAt'> & { uploadSession: string };

const FIND_SESSION = statement<RecordedSession>(
  'assets_session_find',
  `select ${columnsSql<MediaAsset>('a', ['uploadSession', 'urlExpiresAt'])} from media_assets a
    where a.asset_id = $1 and a.upload_session is not null`,
);

const KEEP_SESSION = statement<object>(
  'assets_session_keep',
  `update media_assets set upload_session = $2, url_expires_at = $3,
      upload_deadline_at = greatest(upload_deadline_at, $3), updated_at = $4, version = version + 1
    where asset_id = $1 and status = 'PENDING' and upload_session is null and upload_deadline_at > $4
    returning asset_id`,
);

const EXTEND = statement<object>(
  'upload_extend',
  `update media_assets set url_expires_at = $2, upload_deadline_at = greatest(upload_deadline_at, $3),
      updated_at = $4, version = version + 1
    where asset_id = $1 and status = 'PENDING' and upload_deadline_at > $4 returning asset_id`,
);

const RECORD_DISCARD = statement<never>(
  'assets_incoming_settled',
  `update media_assets set incoming_present = upload_deadline_at > $2,
      next_check_at = greatest(next_check_at, upload_deadline_at)
    where asset_id = $1 and status not in ('PENDING', 'PROCESSING')`,
);

/** Writes what is known of incoming objects to the rows of their assets: sessions, deadlines, and whether an object may exist. */
@Injectable()
export class IncomingRepository {
  constructor(private readonly database: Database) {}

  async findSession(assetId: string): Promise<RecordedSession | null> {
    const [session = null] = await this.database.query(FIND_SESSION, [assetId]);
    return session;
  }

  /** False if the asset is not PENDING before its deadline, or has a session. */
  async keepSession(
    assetId: string,
    { uploadSession, urlExpiresAt }: RecordedSession,
    now: Date,
  ): Promise<boolean> {
    const values = [assetId, uploadSession, urlExpiresAt, now];
    return (await this.database.query(KEEP_SESSION, values)).length === 1;
  }

  async removeSession(assetId: string, uploadSession: string): Promise<void> {
    await this.database.read((prisma) =>
      prisma.mediaAsset.updateMany({ where: { assetId, uploadSession }, data: { uploadSession: null } }),
    );
  }

  /** False if the asset is not PENDING before its deadline. */
  async extend(assetId: string, urlExpiresAt: Date, uploadDeadlineAt: Date, now: Date): Promise<boolean> {
    return (await this.database.query(EXTEND, [assetId, urlExpiresAt, uploadDeadlineAt, now])).length === 1;
  }

  /** Records that the incoming object was deleted. Before the deadline another one may follow. */
  async recordDiscard(assetId: string, now: Date): Promise<void> {
    await this.database.query(RECORD_DISCARD, [assetId, now]);
  }
}
