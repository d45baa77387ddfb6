import { Inject, Injectable } from '@nestjs/common';
import { IncomingObjects } from '#libs/assets';
import { type SignedRequest, UrlSigner } from '#libs/storage';
import type { ParsedUploadRequest } from './upload-request.js';
import { UPLOAD_OPTIONS, type UploadOptions } from './upload.options.js';

type Signable = Pick<ParsedUploadRequest, 'mimeType' | 'sizeBytes' | 'crc32c' | 'method'>;

/** Signed requests by which clients send their bytes straight to storage. */
@Injectable()
export class Tickets {
  constructor(
    @Inject(UPLOAD_OPTIONS) private readonly options: UploadOptions,
    private readonly incoming: IncomingObjects,
    private readonly signer: UrlSigner,
  ) {}

  sign(assetId: string, upload: Signable, now: Date): Promise<SignedRequest> {
    const { mimeType: contentType, sizeBytes, crc32c, method } = upload;
    const grant = {
      ...this.incoming.refOf(assetId),
      contentType,
      sizeBytes,
      crc32c: crc32c ?? undefined,
      method,
    };
    return this.signer.signUpload(grant, { now, expiresInSeconds: this.options.urlSeconds });
  }
}
