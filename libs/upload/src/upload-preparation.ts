import { Injectable } from '@nestjs/common';
import { type Actor, FIRST_CHECK_MS, StowageError, uploadDeadline } from '#libs/domain';
import { newAssetId } from './asset-id.js';
import { UploadPolicies } from './upload-policies.js';
import { type ParsedUploadRequest, parseUploadRequest, type UploadRequest } from './upload-request.js';
import { UploadSigner, type UploadTicket } from './upload-signer.js';
import { UploadConfig } from './upload.config.js';
import type { NewAsset, RefusedUpload } from './upload.repository.js';

/** A request that the policies accept. */
export interface AcceptedUpload {
  readonly asset: NewAsset;
  /** Null for a RESUMABLE upload, whose session is opened after the reservation is committed. */
  readonly ticket: UploadTicket | null;
}

/** Prepares uploads before anything is written: validates the request, asks the policies and signs the ticket. */
@Injectable()
export class UploadPreparation {
  constructor(
    private readonly config: UploadConfig,
    private readonly policies: UploadPolicies,
    private readonly signer: UploadSigner,
  ) {}

  /**
   * @param request an item that was rejected before is passed as its error, which is returned
   * @returns the error of an invalid request
   * @throws StowageError unavailable CLOCK_OFFSET
   */
  async prepare(
    actor: Actor,
    request: UploadRequest | StowageError,
    requestId: string,
    now: Date,
  ): Promise<AcceptedUpload | RefusedUpload | StowageError> {
    if (request instanceof StowageError) return request;
    let parsed: ParsedUploadRequest;
    try {
      parsed = parseUploadRequest(request, this.config.maxUploadBytes);
    } catch (error) {
      if (error instanceof StowageError && error.kind === 'invalid') return error;
      throw error;
    }
    const refusal = await this.policies.check(actor, parsed);
    if (refusal !== null) return { request: parsed, refusal };
    const id = newAssetId(now);
    const ticket = parsed.method === 'PUT' ? await this.signer.forPut(id, parsed, now) : null;
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
  }
}
