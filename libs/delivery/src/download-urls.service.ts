import { Inject, Injectable } from '@nestjs/common';
import { PinoLogger } from 'nestjs-pino';
import { may } from '#libs/acl';
import { type Asset, Assets } from '#libs/assets';
import { type Actor, invalid, isSafeInline } from '#libs/domain';
import { contentDisposition, UrlSigner } from '#libs/storage';

export interface DeliveryOptions {
  /** No URL outlives this, seconds. */
  readonly maxSeconds: number;
}

export const DELIVERY_OPTIONS = Symbol('DELIVERY_OPTIONS');

export type Disposition = 'INLINE' | 'ATTACHMENT';

const HOUR_MS = 3_600_000;

/** From READY to the reader: URLs that carry type and disposition inside their signature. */
@Injectable()
export class DownloadUrls {
  constructor(
    @Inject(DELIVERY_OPTIONS) private readonly options: DeliveryOptions,
    private readonly signer: UrlSigner,
    private readonly assets: Assets,
    private readonly logger: PinoLogger,
  ) {
    logger.setContext(DownloadUrls.name);
  }

  /**
   * Null unless the asset is READY and the caller may READ it.
   * @throws StowageError invalid EXPIRY_OUT_OF_RANGE
   */
  async sign(
    actor: Actor,
    asset: Asset,
    expiresInSeconds: number,
    disposition: Disposition,
  ): Promise<{ url: string; expiresAt: Date } | null> {
    const { maxSeconds } = this.options;
    if (expiresInSeconds < 1 || expiresInSeconds > maxSeconds) {
      throw invalid('EXPIRY_OUT_OF_RANGE', `expiresInSeconds is 1 to ${maxSeconds}.`, ['expiresInSeconds']);
    }
    if (asset.status !== 'READY' || !may(actor, 'READ', asset)) return null;
    const inline = disposition === 'INLINE' && isSafeInline(asset.mimeType);
    const now = new Date();
    const { url, expiresAt } = await this.signer.signDownload(
      {
        bucket: asset.bucket,
        key: asset.objectKey,
        contentType: asset.mimeType,
        contentDisposition: contentDisposition(inline ? 'inline' : 'attachment', asset.filename),
      },
      { now, expiresInSeconds },
    );
    this.noteAccess(asset, now);
    return { url, expiresAt };
  }

  /** To the hour, and never in the reader's way: a URL is worth more than its bookkeeping. */
  private noteAccess(asset: Asset, now: Date): void {
    const hour = new Date(now.getTime() - (now.getTime() % HOUR_MS));
    if (asset.accessedAt !== null && asset.accessedAt >= hour) return;
    this.assets
      .noteAccess(asset.id, hour)
      .catch((err: unknown) => this.logger.warn({ err, assetId: asset.id }, 'access not noted'));
  }
}
