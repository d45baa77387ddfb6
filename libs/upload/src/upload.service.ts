import { Inject, Injectable } from '@nestjs/common';
import { PinoLogger } from 'nestjs-pino';
import { type Asset, Assets, ASSETS_OPTIONS, type AssetsOptions, AssetTransitions } from '#libs/assets';
import { type Actor, FIRST_LOOK_MS, invalid, StowageError, uploadDeadline } from '#libs/domain';
import type { SignedRequest } from '#libs/storage';
import { Arrivals } from './arrivals.service.js';
import { newAssetId } from './asset-id.js';
import { Tickets } from './tickets.service.js';
import {
  type UploadLimits,
  parseUploadRequest,
  type ParsedUploadRequest,
  type UploadRequest,
} from './upload-request.js';
import { UPLOAD_OPTIONS, type UploadOptions } from './upload.options.js';
import { type Created, type NewAsset, UploadRepository } from './upload.repository.js';

/** Uploads that may be asked for at a time. */
export const MAX_BATCH = 100;
/** Each lost race means that the asset moved on; it has few places to go. */
const MAX_TRIES = 5;

export interface RequestedUpload {
  readonly asset: Asset;
  /** Null when nothing needs to be sent. */
  readonly ticket: SignedRequest | null;
}

interface Prepared {
  readonly asset: NewAsset;
  readonly ticket: SignedRequest;
}

/** From "I want to upload" to "the bytes are here", for the client's part of it. */
@Injectable()
export class Uploads {
  private readonly limits: UploadLimits;

  constructor(
    @Inject(UPLOAD_OPTIONS) { maxUploadBytes }: UploadOptions,
    @Inject(ASSETS_OPTIONS) { allowedTypes }: AssetsOptions,
    private readonly tickets: Tickets,
    private readonly repository: UploadRepository,
    private readonly assets: Assets,
    private readonly transitions: AssetTransitions,
    private readonly arrivals: Arrivals,
    private readonly logger: PinoLogger,
  ) {
    logger.setContext(Uploads.name);
    this.limits = { maxUploadBytes, allowedTypes };
  }

  /**
   * Reserves quota, creates the asset and hands out a ticket, or answers a repeated idempotency key.
   * @throws StowageError invalid; over-quota QUOTA_EXCEEDED; conflict IDEMPOTENCY_KEY_REUSED; unavailable
   */
  async request(actor: Actor, request: UploadRequest, requestId: string): Promise<RequestedUpload> {
    const [result] = await this.requestAll(actor, [request], requestId);
    if (result instanceof StowageError) throw result;
    return result!;
  }

  /**
   * The same for many: each is accepted or refused on its own merits, in the order of the requests. One that was refused before
   * stands in its place as the error.
   * @throws StowageError unavailable
   */
  async requestAll(
    actor: Actor,
    requests: readonly (UploadRequest | StowageError)[],
    requestId: string,
  ): Promise<(RequestedUpload | StowageError)[]> {
    if (requests.length < 1 || requests.length > MAX_BATCH) {
      throw invalid('BATCH_SIZE', `Ask for 1 to ${MAX_BATCH} uploads at a time.`, ['inputs']);
    }
    const now = new Date();
    const prepared = await Promise.all(requests.map((request) => this.prepare(request, requestId, now)));
    const accepted = prepared.filter((item): item is Prepared => !(item instanceof StowageError));
    const assets = accepted.map(({ asset }) => asset);
    const created = await this.repository.create(actor.ownerId, assets);
    const outcomes = new Map(accepted.map((item, index) => [item, created[index]!]));
    return Promise.all(
      prepared.map(async (item) =>
        item instanceof StowageError ? item : this.answer(item, outcomes.get(item)!, now),
      ),
    );
  }

  /** A fresh ticket for an upload whose bytes have not come, until its deadline. */
  async renew(actor: Actor, assetId: string): Promise<SignedRequest> {
    const asset = await this.assets.get(actor, assetId, 'WRITE');
    const ticket = await this.freshTicket(asset, new Date());
    if (ticket !== null) return ticket;
    throw uploadNotPending();
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
    for (let attempt = 0; attempt < MAX_TRIES; attempt++) {
      const asset = await this.assets.get(actor, assetId, 'WRITE');
      if (asset.status === 'CANCELLED') return asset;
      if (asset.status !== 'PENDING') break;
      // A renewal may have come in between.
      if (!(await this.transitions.cancel(asset, new Date()))) continue;
      this.logger.info({ assetId }, 'upload cancelled');
      await this.arrivals.discard(assetId);
    }
    throw uploadNotPending();
  }

  private async prepare(
    request: UploadRequest | StowageError,
    requestId: string,
    now: Date,
  ): Promise<Prepared | StowageError> {
    if (request instanceof StowageError) return request;
    try {
      const parsed = parseUploadRequest(request, this.limits);
      const id = newAssetId(now);
      const ticket = await this.tickets.sign(id, parsed, now);
      const asset = {
        ...parsed,
        id,
        requestId,
        urlExpiresAt: ticket.expiresAt,
        uploadDeadlineAt: uploadDeadline(ticket.expiresAt, parsed.sizeBytes, parsed.method),
        nextCheckAt: new Date(now.getTime() + FIRST_LOOK_MS),
        now,
      };
      return { asset, ticket };
    } catch (error) {
      if (error instanceof StowageError && error.kind === 'invalid') return error;
      throw error;
    }
  }

  private async answer(
    { asset, ticket }: Prepared,
    created: Created,
    now: Date,
  ): Promise<RequestedUpload | StowageError> {
    switch (created.outcome) {
      case 'over-quota':
        return new StowageError('over-quota', 'QUOTA_EXCEEDED', 'This upload would pass your quota.');
      case 'grant-expired':
        return invalid('EXPIRY_PAST', 'expiresAt must lie ahead.', ['input', 'acl']);
      case 'replayed':
        return this.replay(created, asset, now);
      case 'created':
        this.logger.info({ assetId: asset.id }, 'upload requested');
        return { asset: created.asset, ticket: created.asset.status === 'PENDING' ? ticket : null };
    }
  }

  private async replay(
    { asset, fingerprint }: { asset: Asset; fingerprint: string },
    parsed: ParsedUploadRequest,
    now: Date,
  ): Promise<RequestedUpload | StowageError> {
    if (fingerprint !== parsed.fingerprint) {
      return new StowageError(
        'conflict',
        'IDEMPOTENCY_KEY_REUSED',
        'This idempotencyKey was used for another upload.',
        {
          path: ['input', 'idempotencyKey'],
        },
      );
    }
    if (asset.status !== 'PENDING') return { asset, ticket: null };
    const ticket = await this.freshTicket(asset, now);
    // Past its deadline it gets what the sweeper would give it: bytes that came in time count.
    if (ticket === null && (await this.arrivals.look(asset.id)) === 'nothing-there') {
      await this.transitions.expire(asset, now);
    }
    return { asset: (await this.assets.load(asset.id)) ?? asset, ticket };
  }

  /** Under the conditions of the first; null when the asset waits for nothing any more. */
  private async freshTicket(asset: Asset, now: Date): Promise<SignedRequest | null> {
    const { id, sizeBytes, uploadMethod: method } = asset;
    const ticket = await this.tickets.sign(id, { ...asset, method }, now);
    const deadline = uploadDeadline(ticket.expiresAt, sizeBytes, method);
    return (await this.repository.extend(id, ticket.expiresAt, deadline, now)) ? ticket : null;
  }
}

const uploadNotPending = () =>
  new StowageError('conflict', 'UPLOAD_NOT_PENDING', 'This upload is not waiting for bytes any more.');
