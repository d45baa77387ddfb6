import { Injectable } from '@nestjs/common';
import { PinoLogger } from 'nestjs-pino';
import { type Asset, AssetsService } from '#libs/assets';
import { Clock } from '#libs/database';
import { type Actor, invalid, StowageError } from '#libs/domain';
import { UploadCompletion } from './upload-completion.js';
import { UploadPreparation } from './upload-preparation.js';
import type { ParsedUploadRequest, UploadRequest } from './upload-request.js';
import { UploadSigner, type UploadTicket } from './upload-signer.js';
import { type Created, UploadRepository } from './upload.repository.js';

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
  constructor(
    private readonly preparation: UploadPreparation,
    private readonly uploadSigner: UploadSigner,
    private readonly repository: UploadRepository,
    private readonly assets: AssetsService,
    private readonly completion: UploadCompletion,
    private readonly clock: Clock,
    private readonly logger: PinoLogger,
  ) {
    logger.setContext(UploadService.name);
  }

  /**
   * Reserves quota, creates the asset and issues a ticket. A repeated idempotency key returns the asset of the first request.
   * @param origin origin of the page that will send the bytes of a RESUMABLE upload
   * @throws StowageError invalid; over-quota QUOTA_EXCEEDED; conflict IDEMPOTENCY_KEY_REUSED; unavailable; the error of a policy
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
    const prepared = await Promise.all(
      requests.map((request) => this.preparation.prepare(actor, request, requestId, call.now)),
    );
    const assets = prepared.flatMap((item) => ('asset' in item ? item.asset : []));
    const refused = prepared.flatMap((item) => ('refusal' in item ? item : []));
    const created = await this.repository.create(actor.ownerId, assets);
    const refusals = refused.length === 0 ? null : await this.repository.refuse(actor.ownerId, refused);
    const answer = (item: (typeof prepared)[number]) => {
      if (item instanceof StowageError) return item;
      return 'asset' in item
        ? this.answer(item.asset, item.ticket, created.get(item.asset)!, call)
        : this.answer(item.request, null, refusals!.get(item)!, call);
    };
    const results: (RequestedUpload | StowageError)[] = [];
    const left = prepared.entries();
    const run = async () => {
      for (const [index, item] of left) results[index] = await answer(item);
    };
    // An error must not leave answers in progress, which would still change their assets.
    const runs = await Promise.allSettled(Array.from({ length: MAX_CONCURRENT_ANSWERS }, run));
    const failed = runs.find(({ status }) => status === 'rejected');
    if (failed?.status === 'rejected') throw failed.reason;
    return results;
  }

  /**
   * Requests an upload that replaces the bytes of a READY asset, which keeps its id, name, metadata and access list. The upload is an
   * asset of its own, which no list shows; see `AssetTransitionsService.accept`. An asset that has the bytes already is returned
   * without a ticket, so a repeat changes nothing.
   * @throws StowageError not-found; forbidden OWNER_ONLY; conflict ASSET_NOT_READY; invalid REPLACEMENT_DETAILS; the errors of `request`
   */
  async replace(
    actor: Actor,
    id: string,
    request: UploadRequest,
    requestId: string,
    origin?: string,
  ): Promise<RequestedUpload> {
    const asset = await this.assets.get(actor, id, 'READ');
    if (!actor.isAdmin && actor.ownerId !== asset.ownerId) {
      throw new StowageError('forbidden', 'OWNER_ONLY', 'Only the owner may replace the bytes of an asset.');
    }
    const detail = (['metadata', 'acl'] as const).find((name) => (request[name] ?? []).length > 0);
    if (detail !== undefined) {
      const message = 'The asset keeps its metadata and access list. Change them with their own mutations.';
      throw invalid('REPLACEMENT_DETAILS', message, ['input', detail]);
    }
    const hasBytes = asset.checksumSha256 === request.checksumSha256 && asset.sizeBytes === request.sizeBytes;
    if (asset.status === 'READY' && hasBytes && !asset.isCorrupt) return { asset, ticket: null };
    if (asset.status !== 'READY' || asset.storedObjectId === null) {
      throw new StowageError(
        'conflict',
        'ASSET_NOT_READY',
        'Only the bytes of a READY asset can be replaced.',
      );
    }
    const replaces = { assetId: asset.id, objectId: asset.storedObjectId };
    // The upload belongs to the owner of the asset, whose quota it uses.
    const owner = { ...actor, ownerId: asset.ownerId };
    return this.request(owner, { ...request, replaces }, requestId, origin);
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

  private async answer(
    request: ParsedUploadRequest,
    ticket: UploadTicket | null,
    created: Created,
    call: Call,
  ): Promise<RequestedUpload | StowageError> {
    switch (created.outcome) {
      case 'over-quota':
        return new StowageError('over-quota', 'QUOTA_EXCEEDED', 'This upload would exceed your quota.');
      case 'grant-expired':
        return invalid('EXPIRY_PAST', 'expiresAt must be in the future.', ['input', 'acl']);
      case 'replayed':
        return this.replay(created, request, call);
      case 'refused':
        return created.refusal;
      case 'created':
        this.logger.info({ assetId: created.asset.id }, 'upload requested');
        if (created.asset.status !== 'PENDING') return { asset: created.asset, ticket: null };
        if (ticket !== null) return { asset: created.asset, ticket };
        return this.openSession(created.asset, request.idempotencyKey === null, call);
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
    request: ParsedUploadRequest,
    call: Call,
  ): Promise<RequestedUpload | StowageError> {
    if (fingerprint !== request.fingerprint) {
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
    // After the deadline, do as the task would: claim an object that was uploaded in time, otherwise expire the upload.
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
