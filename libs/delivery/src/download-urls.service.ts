import { Inject, Injectable } from '@nestjs/common';
import { PinoLogger } from 'nestjs-pino';
import { may } from '#libs/access';
import { type Asset, AssetsService, type Variant } from '#libs/assets';
import { Clock } from '#libs/database';
import { type Actor, invalid, isSafeInline, type ObjectRef } from '#libs/domain';
import { contentDisposition, UrlSigner } from '#libs/storage';
import { variantFilename } from './variant-filename.js';

export interface DeliveryOptions {
  /** No URL outlives this, seconds. */
  readonly maxSeconds: number;
}

export const DELIVERY_OPTIONS = Symbol('DELIVERY_OPTIONS');

export type Disposition = 'INLINE' | 'ATTACHMENT';

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

/** From READY to the reader: URLs that carry type and disposition inside their signature. */
@Injectable()
export class DownloadUrlsService {
  /** Assets whose access is about to be noted. */
  private readonly accessed = new Set<string>();

  constructor(
    @Inject(DELIVERY_OPTIONS) private readonly options: DeliveryOptions,
    private readonly signer: UrlSigner,
    private readonly assets: AssetsService,
    private readonly clock: Clock,
    private readonly logger: PinoLogger,
  ) {
    logger.setContext(DownloadUrlsService.name);
  }

  /**
   * Null unless the asset is READY, its bytes are intact and the caller may READ it.
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
   * The same for a smaller rendition of the asset, to be shown in place.
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
    const { maxSeconds } = this.options;
    if (expiresInSeconds < 1 || expiresInSeconds > maxSeconds) {
      throw invalid('EXPIRY_OUT_OF_RANGE', `expiresInSeconds is 1 to ${maxSeconds}.`, ['expiresInSeconds']);
    }
    if (asset.status !== 'READY' || asset.isCorrupt || !may(actor, 'READ', asset)) return null;
    const inline = disposition === 'INLINE' && isSafeInline(mimeType);
    this.clock.check();
    const now = this.clock.now();
    const { url, expiresAt } = await this.signer.signDownload(
      {
        bucket,
        key,
        contentType: mimeType,
        contentDisposition: contentDisposition(inline ? 'inline' : 'attachment', filename),
      },
      { now, expiresInSeconds },
    );
    this.noteAccess(asset, now);
    return { url, expiresAt };
  }

  /** To the hour, and never in the reader's way: a URL is worth more than its bookkeeping. All of one page together. */
  private noteAccess(asset: Asset, now: Date): void {
    const hour = new Date(now.getTime() - (now.getTime() % HOUR_MS));
    if (asset.accessedAt !== null && asset.accessedAt >= hour) return;
    if (this.accessed.size === 0) setImmediate(() => this.writeAccessed(hour));
    this.accessed.add(asset.id);
  }

  private writeAccessed(hour: Date): void {
    const ids = [...this.accessed];
    this.accessed.clear();
    this.assets
      .noteAccess(ids, hour)
      .catch((err: unknown) => this.logger.warn({ err, assetIds: ids }, 'access not noted'));
  }
}
