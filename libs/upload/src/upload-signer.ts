import { Inject, Injectable } from '@nestjs/common';
import { type Asset, IncomingObjectsService, IncomingSessionsService } from '#libs/assets';
import { Clock } from '#libs/database';
import { type SignedRequest, UrlSigner } from '#libs/storage';
import { UploadCompletion } from './upload-completion.js';
import { UPLOAD_OPTIONS, type UploadOptions } from './upload.options.js';

type Signable = Pick<Asset, 'mimeType' | 'sizeBytes' | 'crc32c'>;

/** How a client sends its bytes straight to storage. */
export interface UploadTicket extends SignedRequest {
  readonly protocol: 'PUT' | 'GCS_RESUMABLE';
}

/** `http://` or `https://`, a host and maybe a port: what browsers send as Origin, `null` excepted. */
const PAGE_ORIGIN = /^https?:\/\/[^/?#@\s]{1,255}$/;

/** Makes the tickets by which clients send their bytes straight to storage. */
@Injectable()
export class UploadSigner {
  constructor(
    @Inject(UPLOAD_OPTIONS) private readonly options: UploadOptions,
    private readonly incoming: IncomingObjectsService,
    private readonly sessions: IncomingSessionsService,
    private readonly signer: UrlSigner,
    private readonly completion: UploadCompletion,
    private readonly clock: Clock,
  ) {}

  /**
   * Signs one PUT of the whole body, without a network call.
   * @throws StowageError unavailable CLOCK_OFFSET
   */
  async forPut(assetId: string, upload: Signable, now: Date): Promise<UploadTicket> {
    this.clock.check();
    const { mimeType: contentType, sizeBytes, crc32c } = upload;
    const grant = { ...this.incoming.refOf(assetId), contentType, sizeBytes, crc32c: crc32c ?? undefined };
    const request = await this.signer.signUpload(grant, { now, expiresInSeconds: this.options.urlSeconds });
    return { ...request, protocol: 'PUT' };
  }

  /**
   * The session of a RESUMABLE upload, which stays the same while it lives.
   * @param origin of the page that asks; one that the api does not serve is left out
   * @returns null when the asset waits for no bytes
   * @throws StowageError unavailable
   */
  async forSession(asset: Asset, now: Date, origin?: string): Promise<UploadTicket | null> {
    this.clock.check();
    const session = await this.sessions.open(asset, now, this.isServed(origin) ? origin : undefined);
    if (session !== null) return { protocol: 'GCS_RESUMABLE', httpMethod: 'PUT', headers: [], ...session };
    // Maybe the object is in storage and its event was lost.
    await this.completion.checkObject(asset.id, now);
    return null;
  }

  private isServed(origin: string | undefined): boolean {
    const { origins = [] } = this.options;
    return (
      origin !== undefined && PAGE_ORIGIN.test(origin) && (origins.includes('*') || origins.includes(origin))
    );
  }
}
