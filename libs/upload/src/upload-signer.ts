import { Injectable } from '@nestjs/common';
import { type Asset, IncomingObjectsService, IncomingSessionsService } from '#libs/assets';
import { Clock } from '#libs/database';
import { uploadDeadline } from '#libs/domain';
import { type SignedRequest, UrlSigner } from '#libs/storage';
import { UploadCompletion } from './upload-completion.js';
import { UploadConfig } from './upload.config.js';

type Signable = Pick<Asset, 'mimeType' | 'sizeBytes' | 'crc32c'>;

/** A request that a client sends directly to storage to upload its bytes. */
export interface UploadTicket extends SignedRequest {
  readonly protocol: 'PUT' | 'GCS_RESUMABLE';
}

/** The form of the Origin header in browsers, except `null`: scheme, host and optional port. */
const PAGE_ORIGIN = /^https?:\/\/[^/?#@\s]{1,255}$/;

/** Issues the tickets with which clients upload directly to storage. */
@Injectable()
export class UploadSigner {
  constructor(
    private readonly config: UploadConfig,
    private readonly incoming: IncomingObjectsService,
    private readonly sessions: IncomingSessionsService,
    private readonly signer: UrlSigner,
    private readonly completion: UploadCompletion,
    private readonly clock: Clock,
  ) {}

  /**
   * Signs a PUT of the whole body, without a network call.
   * @throws StowageError unavailable CLOCK_OFFSET
   */
  async forPut(assetId: string, upload: Signable, now: Date): Promise<UploadTicket> {
    this.clock.check();
    const { mimeType: contentType, sizeBytes, crc32c } = upload;
    const grant = { ...this.incoming.refOf(assetId), contentType, sizeBytes, crc32c: crc32c ?? undefined };
    const request = await this.signer.signUpload(grant, { now, expiresInSeconds: this.config.urlSeconds });
    return { ...request, protocol: 'PUT' };
  }

  /**
   * Signs a new PUT for an existing asset and extends its deadline.
   * @returns null when the asset does not wait for bytes
   * @throws StowageError unavailable
   */
  async renewPut(asset: Asset, now: Date): Promise<UploadTicket | null> {
    const ticket = await this.forPut(asset.id, asset, now);
    const deadline = uploadDeadline(ticket.expiresAt, asset.sizeBytes, 'PUT');
    return (await this.incoming.extend(asset.id, ticket.expiresAt, deadline, now)) ? ticket : null;
  }

  /**
   * The session of a RESUMABLE upload: the existing one while storage accepts bytes for it, otherwise a new one.
   * @param origin origin of the requesting page; ignored unless it is one of the configured origins
   * @returns null when the asset does not wait for bytes
   * @throws StowageError unavailable
   */
  async forSession(asset: Asset, now: Date, origin?: string): Promise<UploadTicket | null> {
    this.clock.check();
    const session = await this.sessions.open(asset, now, this.isAllowed(origin) ? origin : undefined);
    if (session !== null) return { protocol: 'GCS_RESUMABLE', httpMethod: 'PUT', headers: [], ...session };
    // The object may be in storage although its event was lost.
    await this.completion.checkObject(asset.id, now);
    return null;
  }

  private isAllowed(origin: string | undefined): boolean {
    const { origins } = this.config;
    return (
      origin !== undefined && PAGE_ORIGIN.test(origin) && (origins.includes('*') || origins.includes(origin))
    );
  }
}
