import { Injectable } from '@nestjs/common';
import { PinoLogger } from 'nestjs-pino';
import { type Asset, AssetsConfig, AssetsService } from '#libs/assets';
import { Clock } from '#libs/database';
import { type Actor, FIRST_CHECK_MS, invalid, StowageError, uploadDeadline } from '#libs/domain';
import { UploadCompletion } from './upload-completion.js';
import { newAssetId } from './asset-id.js';
import { UploadSigner, type UploadTicket } from './upload-signer.js';
import {
  type UploadLimits,
  parseUploadRequest,
  type ParsedUploadRequest,
  type UploadRequest,
} from './upload-request.js';
import { UploadConfig } from './upload.config.js';
import { type Created, type NewAsset, UploadRepository } from './upload.repository.js';

/** Uploads that one call may request. */
export const MAX_BATCH = 100;
/** Each retry means that the asset changed meanwhile, which it does only a few times. */
const MAX_TRIES = 5;
/** Items of a batch that are answered concurrently. Limited, because each may wait for storage. */
const MAX_CONCURRENT_ANSWERS = 8;

export interface RequestedUpload {
  readonly asset: Asset;
  /** Null when no bytes need to be sent. */
  readonly ticket: UploadTicket | null;
}

interface Prepared {
  readonly asset: NewAsset;
  /** Null for a RESUMABLE upload, whose session is opened after the reservation is committed. */
  readonly ticket: UploadTicket | null;
}

/** State that all items of one call share. */
interface Call {
  readonly now: Date;
  readonly origin: string | undefined;
  /** Error of the first session that could not be opened. The remaining sessions are not attempted then. */
  outage?: StowageError;
}

/** The operations of clients on uploads: request, renew, complete, cancel. */
@Injectable()
export class UploadService {
  private readonly limits: UploadLimits;

  constructor(
    private readonly config: UploadConfig,
    { allowedTypes }: AssetsConfig,
    private readonly uploadSigner: UploadSigner,
    private readonly repository: UploadRepository,
    private readonly assets: AssetsService,
    private readonly completion: UploadCompletion,
    private readonly clock: Clock,
    private readonly logger: PinoLogger,
  ) {
    logger.setContext(UploadService.name);
    this.limits = { maxUploadBytes: config.maxUploadBytes, allowedTypes };
  }

  /**
   * Reserves quota, creates the asset and issues a ticket. A repeated idempotency key returns the asset of the first request.
   * @param origin origin of the page that will send the bytes of a RESUMABLE upload
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
   * Requests 1 to 100 uploads, each accepted or rejected independently.
   * @param requests the requests; an item that was rejected before is passed as its error
   * @returns results in the order of the requests, with a rejected item as its error
   * @throws StowageError unavailable
   */
  async requestAll(
    actor: Actor,
    requests: readonly (UploadRequest | StowageError)[],
    requestId: string,
    origin?: string,
  ): Promise<(RequestedUpload | StowageError)[]> {
    if (requests.length < 1 || requests.length > MAX_BATCH) {
      throw invalid('BATCH_SIZE', `A batch must have 1 to ${MAX_BATCH} uploads.`, ['inputs']);
    }
    const call: Call = { now: this.clock.now(), origin };
    const prepared = await Promise.all(requests.map((request) => this.prepare(request, requestId, call.now)));
    const assets = prepared.flatMap((item) => (item instanceof StowageError ? [] : item.asset));
    const created = await this.repository.create(actor.ownerId, assets);
    const results: (RequestedUpload | StowageError)[] = [];
    const left = prepared.entries();
    const run = async () => {
      for (const [index, item] of left) {
        results[index] =
          item instanceof StowageError ? item : await this.answer(item, created.get(item.asset)!, call);
      }
    };
    await Promise.all(Array.from({ length: MAX_CONCURRENT_ANSWERS }, run));
    return results;
  }

  /**
   * Issues a ticket for a PENDING upload until its deadline: a newly signed PUT, or the session while storage accepts bytes for it.
   * @throws StowageError conflict UPLOAD_NOT_PENDING; unavailable
   */
  async renew(actor: Actor, assetId: string, origin?: string): Promise<UploadTicket> {
    const asset = await this.assets.get(actor, assetId, 'WRITE');
    const ticket = await this.freshTicket(asset, { now: this.clock.now(), origin });
    if (ticket !== null) return ticket;
    throw uploadNotPending();
  }

  /** Checks storage for the bytes immediately instead of waiting for the event. @throws StowageError unavailable */
  async complete(actor: Actor, assetId: string): Promise<Asset> {
    const asset = await this.assets.get(actor, assetId, 'WRITE');
    if (asset.status !== 'PENDING') return asset;
    await this.completion.checkObject(assetId);
    return this.assets.get(actor, assetId, 'WRITE');
  }

  /** Cancels a PENDING upload. @throws StowageError conflict UPLOAD_NOT_PENDING for any other but a cancelled one; unavailable */
  async cancel(actor: Actor, assetId: string): Promise<Asset> {
    for (let attempt = 0; attempt < MAX_TRIES; attempt++) {
      const asset = await this.assets.get(actor, assetId, 'WRITE');
      if (asset.status === 'CANCELLED') return asset;
      if (asset.status !== 'PENDING') break;
      // A renewal may change the asset between the read and the transition.
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
      const urlExpiresAt = ticket?.expiresAt ?? new Date(now.getTime() + this.config.urlSeconds * 1000);
      const asset = {
        ...parsed,
        id,
        requestId,
        urlExpiresAt,
        uploadDeadlineAt: uploadDeadline(urlExpiresAt, parsed.sizeBytes, parsed.method),
        nextCheckAt: new Date(now.getTime() + FIRST_CHECK_MS),
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
        return new StowageError('over-quota', 'QUOTA_EXCEEDED', 'This upload would exceed your quota.');
      case 'grant-expired':
        return invalid('EXPIRY_PAST', 'expiresAt must be in the future.', ['input', 'acl']);
      case 'replayed':
        return this.replay(created, asset, call);
      case 'created':
        this.logger.info({ assetId: asset.id }, 'upload requested');
        if (created.asset.status !== 'PENDING') return { asset: created.asset, ticket: null };
        if (ticket !== null) return { asset: created.asset, ticket };
        return this.openSession(created.asset, asset.idempotencyKey === null, call);
    }
  }

  /** @param isUnnamed whether the request had no idempotency key, so that a repeat cannot find the asset */
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

  /** The client does not learn the id of the asset, so its reservation would be blocked until the deadline. */
  private async release(assetId: string): Promise<void> {
    try {
      const asset = await this.assets.findWithoutAccessCheck(assetId);
      if (asset !== null) await this.completion.cancel(asset, this.clock.now());
    } catch (err) {
      this.logger.warn({ err, assetId }, 'reservation not released before the deadline');
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
        'This idempotencyKey was used with another input. Use a new key.',
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
    // After the deadline, do as the sweep would: claim an object that was uploaded in time, otherwise expire the upload.
    if (answer.ticket === null && (await this.completion.checkObject(asset.id)) === 'nothing-there') {
      await this.completion.expire(asset, call.now);
    }
    return { asset: (await this.assets.findWithoutAccessCheck(asset.id)) ?? asset, ticket: answer.ticket };
  }

  /** Issues a ticket with the parameters of the first one. @returns null when the asset does not wait for bytes any more */
  private freshTicket(asset: Asset, { now, origin }: Call): Promise<UploadTicket | null> {
    return asset.uploadMethod === 'RESUMABLE'
      ? this.uploadSigner.forSession(asset, now, origin)
      : this.uploadSigner.renewPut(asset, now);
  }
}

const uploadNotPending = () =>
  new StowageError('conflict', 'UPLOAD_NOT_PENDING', 'This upload is not PENDING any more.');
