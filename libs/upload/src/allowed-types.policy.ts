import { Injectable } from '@nestjs/common';
import { AssetsConfig } from '#libs/assets';
import { type Actor, invalid, isAllowedType, OCTET_STREAM } from '#libs/domain';
import { UploadPolicy, type UploadPolicyHandler } from './upload-policies.js';
import type { ParsedUploadRequest } from './upload-request.js';

/** Refuses files of types that the configuration does not allow. */
@Injectable()
@UploadPolicy('allowed-types')
export class AllowedTypesPolicy implements UploadPolicyHandler {
  constructor(private readonly config: AssetsConfig) {}

  check(_: Actor, { mimeType }: ParsedUploadRequest): void {
    // For application/octet-stream the type that processing detects is checked instead.
    if (mimeType === OCTET_STREAM || isAllowedType(mimeType, this.config.allowedTypes)) return;
    const message = `Files of the type ${mimeType} are not accepted.`;
    throw invalid('TYPE_NOT_ALLOWED', message, ['input', 'mimeType']);
  }
}
