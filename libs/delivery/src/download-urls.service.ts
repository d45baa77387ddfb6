import { Injectable } from '@nestjs/common';
import { PinoLogger } from 'nestjs-pino';
import { readableUntil } from '#libs/access';
import { type Asset, AssetsService, type Variant } from '#libs/assets';
import { Clock } from '#libs/database';
import { type Actor, invalid, isSafeInline, type ObjectRef } from '#libs/domain';
import { contentDisposition, UrlSigner } from '#libs/storage';
import { DeliveryConfig } from './delivery.config.js';
import { variantFilename } from './variant-filename.js';

/** Whether a browser displays or saves the file. */
export type Disposition = 'INLINE' | 'ATTACHMENT';

/** A signed URL and its expiry. */
export interface DownloadUrl {
  readonly url: string;
  readonly expiresAt: Date;
}

interface Download extends ObjectRef {
  readonly mimeType: string;
  readonly filename: string;
  readonly disposition: Disposition;
}

const HOUR_MS = 3_600_000;

/** Signs download URLs of READY assets. The signature covers media type and disposition. */
@Injectable()
export class DownloadUrlsService {
  /** Ids of assets whose access time will be written in the next batch. */
  private readonly accessed = new Set<string>();

  constructor(
    private readonly config: DeliveryConfig,
    private readonly signer: UrlSigner,
    private readonly assets: AssetsService,
    private readonly clock: Clock,
    private readonly logger: PinoLogger,
  ) {
    logger.setContext(DownloadUrlsService.name);
  }

  /**
   * Signs a download URL, which expires with the caller's access at the latest. Null unless the asset is READY, its bytes are intact
   * and the caller may READ it for at least one more second.
   * @throws StowageError invalid EXPIRY_OUT_OF_RANGE
   */
  sign(
    actor: Actor,
    asset: Asset,
    expiresInSeconds: number,
    disposition: Disposition,
  ): Promise<DownloadUrl | null> {
    const { bucket, objectKey: key, mimeType, filename } = asset;
    return this.grant(actor, asset, expiresInSeconds, { bucket, key, mimeType, filename, disposition });
  }

  /**
   * Signs an inline URL of a variant. Null under the conditions of {@link sign}.
   * @throws StowageError invalid EXPIRY_OUT_OF_RANGE
   */
  signVariant(
    actor: Actor,
    asset: Asset,
    variant: Variant,
    expiresInSeconds: number,
  ): Promise<DownloadUrl | null> {
    const filename = variantFilename(asset.filename, variant.mimeType);
    return this.grant(actor, asset, expiresInSeconds, { ...variant, filename, disposition: 'INLINE' });
  }

  private async grant(
    actor: Actor,
    asset: Asset,
    expiresInSeconds: number,
    { bucket, key, mimeType, filename, disposition }: Download,
  ): Promise<DownloadUrl | null> {
    const { maxSeconds } = this.config;
    if (expiresInSeconds < 1 || expiresInSeconds > maxSeconds) {
      throw invalid('EXPIRY_OUT_OF_RANGE', `expiresInSeconds must be 1 to ${maxSeconds}.`, [
        'expiresInSeconds',
      ]);
    }
    const now = this.clock.now();
    const grantedSeconds = Math.floor((readableUntil(actor, asset) - now.getTime()) / 1000);
    if (asset.status !== 'READY' || asset.isCorrupt || grantedSeconds < 1) return null;
    const inline = disposition === 'INLINE' && isSafeInline(mimeType);
    this.clock.check();
    const { url, expiresAt } = await this.signer.signDownload(
      {
        bucket,
        key,
        contentType: mimeType,
        contentDisposition: contentDisposition(inline ? 'inline' : 'attachment', filename),
      },
      { now, expiresInSeconds: Math.min(expiresInSeconds, grantedSeconds) },
    );
    this.recordAccess(asset, now);
    return { url, expiresAt };
  }

  /**
   * Records the access time, to the hour. The write is batched per page and asynchronous, so that it never delays or
   * fails a URL.
   */
  private recordAccess(asset: Asset, now: Date): void {
    const hour = new Date(now.getTime() - (now.getTime() % HOUR_MS));
    if (asset.accessedAt !== null && asset.accessedAt >= hour) return;
    if (this.accessed.size === 0) setImmediate(() => this.writeAccessed(hour));
    this.accessed.add(asset.id);
  }

  private writeAccessed(hour: Date): void {
    const ids = [...this.accessed];
    this.accessed.clear();
    this.assets
      .recordAccess(ids, hour)
      .catch((err: unknown) => this.logger.warn({ err, assetIds: ids }, 'access time not recorded'));
  }
}
