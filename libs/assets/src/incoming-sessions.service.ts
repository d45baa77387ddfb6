import { Inject, Injectable } from '@nestjs/common';
import { PinoLogger } from 'nestjs-pino';
import { Database, type Statement } from '#libs/database';
import { unavailable } from '#libs/domain';
import { type UploadSession, UploadSessions } from '#libs/storage';
import type { Asset } from './asset.js';
import { ASSETS_OPTIONS, type AssetsOptions } from './assets.options.js';
import { IncomingObjectsService } from './incoming-objects.service.js';
import { EncryptedText } from './encrypted-text.js';

const FIND: Statement<{ sealed: string; expires_at: Date }> = {
  name: 'assets_session_find',
  text: `select upload_session as sealed, url_expires_at as expires_at from media_assets
    where asset_id = $1 and upload_session is not null`,
};

const KEEP: Statement<{ asset_id: string }> = {
  name: 'assets_session_keep',
  text: `update media_assets set upload_session = $2, url_expires_at = $3,
      upload_deadline_at = greatest(upload_deadline_at, $3), updated_at = $4, version = version + 1
    where asset_id = $1 and status = 'PENDING' and upload_session is null and upload_deadline_at > $4
    returning asset_id`,
};

const FORGET: Statement<never> = {
  name: 'assets_session_forget',
  text: `update media_assets set upload_session = null where asset_id = $1 and upload_session = $2`,
};

type Uploaded = Pick<Asset, 'id' | 'uploadMethod'>;

/**
 * The resumable session of each RESUMABLE upload: at most one an asset, its URL encrypted in the asset's row.
 *
 * Storage holds the bytes of an unfinished session without listing them. The owner's reservation stands for these bytes, so a
 * session is recorded before anybody learns its URL, and no transition releases the reservation while one is recorded. A session
 * that was opened and could not be recorded holds no bytes, since its URL is known to no client.
 */
@Injectable()
export class IncomingSessionsService {
  private readonly sealed: EncryptedText;

  constructor(
    @Inject(ASSETS_OPTIONS) options: AssetsOptions,
    private readonly incoming: IncomingObjectsService,
    private readonly sessions: UploadSessions,
    private readonly database: Database,
    private readonly logger: PinoLogger,
  ) {
    logger.setContext(IncomingSessionsService.name);
    this.sealed = new EncryptedText(options.uploadSessionKeys);
  }

  /**
   * The session of a PENDING upload: the recorded one while storage takes bytes for it, else a new one, whose end becomes the
   * deadline of the upload.
   * @param origin of the page that will send the bytes, for a new session
   * @returns null when the asset waits for no bytes, or its object is in storage already
   * @throws StowageError unavailable
   */
  async open(
    asset: Uploaded & Pick<Asset, 'mimeType' | 'sizeBytes' | 'status' | 'uploadDeadlineAt'>,
    now: Date,
    origin?: string,
  ): Promise<UploadSession | null> {
    if (asset.status !== 'PENDING' || asset.uploadDeadlineAt <= now) return null;
    const known = await this.find(asset.id);
    if (known !== null) {
      const state = await this.sessions.stateOf(known.url);
      if (state === 'open') return known;
      if (state === 'finished' && (await this.incoming.stat(asset.id)) !== null) return null;
      await this.end(asset, now);
    }
    return this.openNew(asset, now, origin);
  }

  /**
   * Has storage delete what it holds for the upload's session and take no more, then forgets the session. Comes before every
   * transition that releases the reservation. An object that the session has created stays.
   * @returns whether there was a session
   * @throws StowageError unavailable: the session is still recorded
   */
  async end({ id, uploadMethod }: Uploaded, now: Date): Promise<boolean> {
    if (uploadMethod === 'PUT') return false;
    const [row] = await this.database.query(FIND, [id]);
    if (row === undefined) return false;
    const url = this.sealed.open(id, row.sealed);
    if (url !== null) await this.sessions.end(url);
    else if (row.expires_at > now) throw this.unreadable(id);
    await this.database.query(FORGET, [id, row.sealed]);
    return true;
  }

  private async openNew(
    { id, mimeType, sizeBytes }: Pick<Asset, 'id' | 'mimeType' | 'sizeBytes'>,
    now: Date,
    origin?: string,
  ): Promise<UploadSession | null> {
    const request = { ...this.incoming.refOf(id), contentType: mimeType, sizeBytes, origin, now };
    const session = await this.sessions.open(request);
    if (session === null) return null;
    const values = [id, this.sealed.seal(id, session.url), session.expiresAt, now];
    if ((await this.database.query(KEEP, values)).length === 1) return session;
    await this.abandon(id, session);
    // Another request of the client was faster, or the asset moved on.
    return this.find(id);
  }

  private async find(id: string): Promise<UploadSession | null> {
    const [row] = await this.database.query(FIND, [id]);
    if (row === undefined) return null;
    const url = this.sealed.open(id, row.sealed);
    if (url === null) throw this.unreadable(id);
    return { url, expiresAt: row.expires_at };
  }

  private async abandon(assetId: string, { url }: UploadSession): Promise<void> {
    try {
      await this.sessions.end(url);
    } catch (err) {
      this.logger.warn({ err, assetId }, 'unused upload session not ended');
    }
  }

  /** Until its own end storage may hold bytes for it. */
  private unreadable(assetId: string) {
    this.logger.error({ assetId }, 'upload session not readable with the configured keys');
    return unavailable(
      'UPLOAD_SESSION_UNREADABLE',
      'This upload cannot be continued or called off at present.',
    );
  }
}
