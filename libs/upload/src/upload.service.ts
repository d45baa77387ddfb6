import { Inject, Injectable } from '@nestjs/common';
import { PinoLogger } from 'nestjs-pino';
import { type Asset, AssetsService, ASSETS_OPTIONS, type AssetsOptions } from '#libs/assets';
import { Clock } from '#libs/database';
import { type Actor, FIRST_LOOK_MS, invalid, StowageError, uploadDeadline } from '#libs/domain';
import { UploadCompletion } from './upload-completion.js';
import { newAssetId } from './asset-id.js';
import { UploadSigner, type UploadTicket } from './upload-signer.js';
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
/** Items of a batch that are answered at a time: each may wait for storage. */
const ANSWERS_AT_ONCE = 8;

export interface RequestedUpload {
  readonly asset: Asset;
  /** Null when nothing needs to be sent. */
  readonly ticket: UploadTicket | null;
}

interface Prepared {
  readonly asset: NewAsset;
  /** Null for a RESUMABLE upload, whose session is opened once the reservation stands. */
  readonly ticket: UploadTicket | null;
}

/** What all items of one request share. */
interface Call {
  readonly now: Date;
  readonly origin: string | undefined;
  /** Set by the first session that could not be opened; the others are not tried. */
  outage?: StowageError;
}

/** From "I want to upload" to "the bytes are here", for the client's part of it. */
@Injectable()
export class UploadService {
  private readonly limits: UploadLimits;

  constructor(
    @Inject(UPLOAD_OPTIONS) private readonly options: UploadOptions,
    @Inject(ASSETS_OPTIONS) { allowedTypes }: AssetsOptions,
    private readonly uploadSigner: UploadSigner,
    private readonly repository: UploadRepository,
    private readonly assets: AssetsService,
    private readonly completion: UploadCompletion,
    private readonly clock: Clock,
    private readonly logger: PinoLogger,
  ) {
    logger.setContext(UploadService.name);
    this.limits = { maxUploadBytes: options.maxUploadBytes, allowedTypes };
  }

  /**
   * Reserves quota, creates the asset and hands out a ticket, or answers a repeated idempotency key.
   * @param origin of the page that will send the bytes of a RESUMABLE upload
   * @throws StowageError invalid; over-quota QUOTA_EXCEEDED; conflict IDEMPOTENCY_KEY_REUSED; unavailable
   */
  async request(
    actor: Actor,
    request: UploadRequest,
    requestId: string,
    origin?: string,
  ): Promise<RequestedUpload> {
    const [result] = await this.requestAll(actor, [request], requestId, origin);
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
    origin?: string,
  ): Promise<(RequestedUpload | StowageError)[]> {
    if (requests.length < 1 || requests.length > MAX_BATCH) {
      throw invalid('BATCH_SIZE', `Ask for 1 to ${MAX_BATCH} uploads at a time.`, ['inputs']);
    }
    const call: Call = { now: this.clock.now(), origin };
    const prepared = await Promise.all(requests.map((request) => this.prepare(request, requestId, call.now)));
    const accepted = prepared.filter((item): item is Prepared => !(item instanceof StowageError));
    const assets = accepted.map(({ asset }) => asset);
    const created = await this.repository.create(actor.ownerId, assets);
    const outcomes = new Map(accepted.map((item, index) => [item, created[index]!]));
    const results: (RequestedUpload | StowageError)[] = [];
    const left = prepared.entries();
    const run = async () => {
      for (const [index, item] of left) {
        results[index] =
          item instanceof StowageError ? item : await this.answer(item, outcomes.get(item)!, call);
      }
    };
    await Promise.all(Array.from({ length: ANSWERS_AT_ONCE }, run));
    return results;
  }

  /**
   * A ticket for an upload whose bytes have not come, until its deadline: a fresh PUT, or the session while it lives.
   * @throws StowageError conflict UPLOAD_NOT_PENDING; unavailable
   */
  async renew(actor: Actor, assetId: string, origin?: string): Promise<UploadTicket> {
    const asset = await this.assets.get(actor, assetId, 'WRITE');
    const ticket = await this.freshTicket(asset, { now: this.clock.now(), origin });
    if (ticket !== null) return ticket;
    throw uploadNotPending();
  }

  /** Asks storage now instead of waiting for its event. */
  async complete(actor: Actor, assetId: string): Promise<Asset> {
    const asset = await this.assets.get(actor, assetId, 'WRITE');
    if (asset.status !== 'PENDING') return asset;
    await this.completion.checkObject(assetId);
    return this.assets.get(actor, assetId, 'WRITE');
  }

  /** @throws StowageError conflict UPLOAD_NOT_PENDING once the bytes were there or the time was over; unavailable */
  async cancel(actor: Actor, assetId: string): Promise<Asset> {
    for (let attempt = 0; attempt < MAX_TRIES; attempt++) {
      const asset = await this.assets.get(actor, assetId, 'WRITE');
      if (asset.status === 'CANCELLED') return asset;
      if (asset.status !== 'PENDING') break;
      // A renewal may have come in between.
      await this.completion.cancel(asset, this.clock.now());
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
      const ticket = parsed.method === 'PUT' ? await this.uploadSigner.forPut(id, parsed, now) : null;
      const urlExpiresAt = ticket?.expiresAt ?? new Date(now.getTime() + this.options.urlSeconds * 1000);
      const asset = {
        ...parsed,
        id,
        requestId,
        urlExpiresAt,
        uploadDeadlineAt: uploadDeadline(urlExpiresAt, parsed.sizeBytes, parsed.method),
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
    call: Call,
  ): Promise<RequestedUpload | StowageError> {
    switch (created.outcome) {
      case 'over-quota':
        return new StowageError('over-quota', 'QUOTA_EXCEEDED', 'This upload would pass your quota.');
      case 'grant-expired':
        return invalid('EXPIRY_PAST', 'expiresAt must lie ahead.', ['input', 'acl']);
      case 'replayed':
        return this.replay(created, asset, call);
      case 'created':
        this.logger.info({ assetId: asset.id }, 'upload requested');
        if (created.asset.status !== 'PENDING') return { asset: created.asset, ticket: null };
        if (ticket !== null) return { asset: created.asset, ticket };
        return this.openSession(created.asset, asset.idempotencyKey === null, call);
    }
  }

  /** @param isUnnamed whether no repeat of the request can find the asset */
  private async openSession(
    asset: Asset,
    isUnnamed: boolean,
    call: Call,
  ): Promise<RequestedUpload | StowageError> {
    try {
      if (call.outage !== undefined) throw call.outage;
      const ticket = await this.freshTicket(asset, call);
      return {
        asset: ticket === null ? ((await this.assets.findWithoutAccessCheck(asset.id)) ?? asset) : asset,
        ticket,
      };
    } catch (err) {
      if (!(err instanceof StowageError) || err.kind !== 'unavailable') throw err;
      call.outage = err;
      this.logger.warn({ err, assetId: asset.id }, 'upload session not opened');
      if (isUnnamed) await this.release(asset.id);
      return err;
    }
  }

  /** The client learns no id, so the reservation would be of no use until the deadline. */
  private async release(assetId: string): Promise<void> {
    try {
      const asset = await this.assets.findWithoutAccessCheck(assetId);
      if (asset !== null) await this.completion.cancel(asset, this.clock.now());
    } catch (err) {
      this.logger.warn({ err, assetId }, 'reservation released only at the deadline');
    }
  }

  private async replay(
    { asset, fingerprint }: { asset: Asset; fingerprint: string },
    parsed: ParsedUploadRequest,
    call: Call,
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
    const answer =
      asset.uploadMethod === 'PUT'
        ? { asset, ticket: await this.freshTicket(asset, call) }
        : await this.openSession(asset, false, call);
    if (answer instanceof StowageError) return answer;
    // Past its deadline it gets what the sweeper would give it: bytes that came in time count.
    if (answer.ticket === null && (await this.completion.checkObject(asset.id)) === 'nothing-there') {
      await this.completion.expire(asset, call.now);
    }
    return { asset: (await this.assets.findWithoutAccessCheck(asset.id)) ?? asset, ticket: answer.ticket };
  }

  /** Under the conditions of the first; null when the asset waits for nothing any more. */
  private async freshTicket(asset: Asset, { now, origin }: Call): Promise<UploadTicket | null> {
    if (asset.uploadMethod === 'RESUMABLE') return this.uploadSigner.forSession(asset, now, origin);
    const { id, sizeBytes } = asset;
    const ticket = await this.uploadSigner.forPut(id, asset, now);
    const deadline = uploadDeadline(ticket.expiresAt, sizeBytes, 'PUT');
    return (await this.repository.extend(id, ticket.expiresAt, deadline, now)) ? ticket : null;
  }
}

const uploadNotPending = () =>
  new StowageError('conflict', 'UPLOAD_NOT_PENDING', 'This upload is not waiting for bytes any more.');
