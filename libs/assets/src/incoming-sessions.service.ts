import { Injectable } from '@nestjs/common';
import { PinoLogger } from 'nestjs-pino';
import { unavailable } from '#libs/domain';
import { type UploadSession, UploadSessions } from '#libs/storage';
import type { Asset } from './asset.js';
import { AssetsConfig } from './assets.config.js';
import { IncomingObjectsService } from './incoming-objects.service.js';
import { IncomingRepository } from './incoming.repository.js';
import { EncryptedText } from './encrypted-text.js';

type Uploaded = Pick<Asset, 'id' | 'uploadMethod'>;

/**
 * Resumable upload sessions in storage: at most one per asset, with its URL encrypted in the asset's row.
 *
 * Storage keeps the bytes of an unfinished session without listing them. The owner's reservation accounts for these bytes, so a
 * session is recorded before a client learns its URL, and no transition releases the reservation while one is recorded. A session
 * that was opened but not recorded holds no bytes, because no client knows its URL.
 */
@Injectable()
export class IncomingSessionsService {
  private readonly sealed: EncryptedText;

  constructor(
    { uploadSessionKeys }: AssetsConfig,
    private readonly incoming: IncomingObjectsService,
    private readonly sessions: UploadSessions,
    private readonly repository: IncomingRepository,
    private readonly logger: PinoLogger,
  ) {
    logger.setContext(IncomingSessionsService.name);
    this.sealed = new EncryptedText(uploadSessionKeys);
  }

  /**
   * The session of a PENDING upload: the recorded one while storage accepts bytes for it, otherwise a new one. The upload's
   * deadline becomes at least the expiry of the new session.
   * @param origin origin of the page that will send the bytes, for CORS of a new session
   * @returns null when the asset does not wait for bytes, or its object is already in storage
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
   * Ends the upload's session in storage, which deletes its bytes and accepts no more, then removes it from the row. Must precede
   * every transition that releases the reservation. Keeps an object that the session has already created.
   * @returns whether a session was recorded
   * @throws StowageError unavailable, in which case the session is still recorded
   */
  async end({ id, uploadMethod }: Uploaded, now: Date): Promise<boolean> {
    if (uploadMethod === 'PUT') return false;
    const row = await this.repository.findSession(id);
    if (row === null) return false;
    const url = this.sealed.open(id, row.uploadSession);
    if (url !== null) await this.sessions.end(url);
    else if (row.urlExpiresAt > now) throw this.unreadable(id);
    await this.repository.removeSession(id, row.uploadSession);
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
    const row = { uploadSession: this.sealed.seal(id, session.url), urlExpiresAt: session.expiresAt };
    if (await this.repository.keepSession(id, row, now)) return session;
    await this.abandon(id, session);
    // Another request recorded a session first, or the asset is no longer PENDING.
    return this.find(id);
  }

  private async find(id: string): Promise<UploadSession | null> {
    const row = await this.repository.findSession(id);
    if (row === null) return null;
    const url = this.sealed.open(id, row.uploadSession);
    if (url === null) throw this.unreadable(id);
    return { url, expiresAt: row.urlExpiresAt };
  }

  private async abandon(assetId: string, { url }: UploadSession): Promise<void> {
    try {
      await this.sessions.end(url);
    } catch (err) {
      this.logger.warn({ err, assetId }, 'unused upload session not ended');
    }
  }

  /** A session whose URL cannot be decrypted cannot be ended, and storage may hold its bytes until it expires. */
  private unreadable(assetId: string) {
    this.logger.error({ assetId }, 'upload session not readable with the configured keys');
    return unavailable(
      'UPLOAD_SESSION_UNREADABLE',
      'This upload cannot be continued or cancelled at present. Try again later.',
    );
  }
}
