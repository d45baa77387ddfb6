import { Inject, Injectable } from '@nestjs/common';
import { PinoLogger } from 'nestjs-pino';
import { v7 as uuidv7 } from 'uuid';
import { type Asset, Assets, AssetTransitions } from '#libs/assets';
import { type Actor, FIRST_LOOK_MS, StowageError, uploadDeadline } from '#libs/domain';
import type { SignedRequest } from '#libs/storage';
import { Arrivals } from './arrivals.service.js';
import { Tickets } from './tickets.service.js';
import { parseUploadRequest, type ParsedUploadRequest, type UploadRequest } from './upload-request.js';
import { UPLOAD_OPTIONS, type UploadOptions } from './upload.options.js';
import { UploadRepository } from './upload.repository.js';

export interface RequestedUpload {
  readonly asset: Asset;
  /** Null when nothing needs to be sent. */
  readonly ticket: SignedRequest | null;
}

/** From "I want to upload" to "the bytes are here", for the client's part of it. */
@Injectable()
export class Uploads {
  constructor(
    @Inject(UPLOAD_OPTIONS) private readonly options: UploadOptions,
    private readonly tickets: Tickets,
    private readonly repository: UploadRepository,
    private readonly assets: Assets,
    private readonly transitions: AssetTransitions,
    private readonly arrivals: Arrivals,
    private readonly logger: PinoLogger,
  ) {
    logger.setContext(Uploads.name);
  }

  /**
   * Reserves quota, creates the asset and hands out a ticket, or answers a repeated idempotency key.
   * @throws StowageError invalid; over-quota QUOTA_EXCEEDED; conflict IDEMPOTENCY_KEY_REUSED; unavailable
   */
  async request(actor: Actor, request: UploadRequest, requestId: string): Promise<RequestedUpload> {
    const now = new Date();
    const parsed = parseUploadRequest(request, this.options, now);
    const id = uuidv7({ msecs: now.getTime() });
    const ticket = await this.tickets.sign(id, parsed, now);
    const created = await this.repository.create({
      ...parsed,
      id,
      ownerId: actor.ownerId,
      requestId,
      urlExpiresAt: ticket.expiresAt,
      uploadDeadlineAt: uploadDeadline(ticket.expiresAt, parsed.sizeBytes),
      nextCheckAt: new Date(now.getTime() + FIRST_LOOK_MS),
      now,
    });
    if (created.outcome === 'over-quota') {
      throw new StowageError('over-quota', 'QUOTA_EXCEEDED', 'This upload would pass your quota.');
    }
    if (created.outcome === 'replayed') return this.replay(created, parsed, now);
    this.logger.info(
      { assetId: id, ownerId: String(actor.ownerId), delegate: actor.delegate },
      'upload requested',
    );
    return { asset: created.asset, ticket };
  }

  /** Asks storage now instead of waiting for its event. */
  async complete(actor: Actor, assetId: string): Promise<Asset> {
    const asset = await this.assets.get(actor, assetId, 'WRITE');
    if (asset.status !== 'PENDING') return asset;
    await this.arrivals.look(assetId);
    return this.assets.get(actor, assetId, 'WRITE');
  }

  /** @throws StowageError conflict UPLOAD_NOT_PENDING once the bytes were there or the time was over */
  async cancel(actor: Actor, assetId: string): Promise<Asset> {
    const asset = await this.assets.get(actor, assetId, 'WRITE');
    if (asset.status === 'PENDING' && (await this.transitions.cancel(asset, new Date()))) {
      this.logger.info({ assetId }, 'upload cancelled');
      await this.arrivals.discard(assetId);
    }
    const after = await this.assets.get(actor, assetId, 'WRITE');
    if (after.status === 'CANCELLED') return after;
    throw new StowageError(
      'conflict',
      'UPLOAD_NOT_PENDING',
      'This upload is not waiting for bytes any more.',
    );
  }

  private async replay(
    { asset, fingerprint }: { asset: Asset; fingerprint: string },
    parsed: ParsedUploadRequest,
    now: Date,
  ): Promise<RequestedUpload> {
    if (fingerprint !== parsed.fingerprint) {
      throw new StowageError(
        'conflict',
        'IDEMPOTENCY_KEY_REUSED',
        'This idempotencyKey was used for another upload.',
        {
          path: ['input', 'idempotencyKey'],
        },
      );
    }
    if (asset.status !== 'PENDING') return { asset, ticket: null };
    const ticket = await this.tickets.sign(asset.id, parsed, now);
    const deadline = uploadDeadline(ticket.expiresAt, parsed.sizeBytes);
    const extended = await this.repository.extend(asset.id, ticket.expiresAt, deadline, now);
    return { asset, ticket: extended ? ticket : null };
  }
}
