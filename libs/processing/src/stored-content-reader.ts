import { Injectable } from '@nestjs/common';
import { PinoLogger } from 'nestjs-pino';
import { type ClaimedObject, ObjectVerificationService } from '#libs/content';
import { ContentReader, type ReadResult } from './content-reader.js';
import { InfectedContentService } from './infected-content.service.js';

/** Reads claimed stored objects again. An object found infected is quarantined, a damaged one is taken out of service. */
@Injectable()
export class StoredContentReader {
  constructor(
    private readonly contentReader: ContentReader,
    private readonly infected: InfectedContentService,
    private readonly verification: ObjectVerificationService,
    private readonly logger: PinoLogger,
  ) {
    logger.setContext(StoredContentReader.name);
  }

  /**
   * Reads, hashes and scans an object, and spools a file that is inspected. The caller must dispose the result.
   * @param mimeType the media type of an asset, which may decide whether the file is inspected
   * @returns null for bytes that are infected or damaged, or were not scanned
   * @throws StowageError unavailable; InspectionFailed
   */
  async read(
    object: ClaimedObject,
    mimeType: string,
    now: Date,
    signal?: AbortSignal,
  ): Promise<ReadResult | null> {
    const { location, sizeBytes } = object;
    const request = { object: location, sizeBytes, mimeType };
    const read = await this.contentReader.read(request, { mayInspect: true, signal });
    let isSound = false;
    try {
      isSound = await this.isSound(object, read, now, signal);
      return isSound ? read : null;
    } finally {
      if (!isSound) await read[Symbol.asyncDispose]();
    }
  }

  private async isSound(
    object: ClaimedObject,
    { digest, verdict }: ReadResult,
    now: Date,
    signal?: AbortSignal,
  ): Promise<boolean> {
    const storedObject = String(object.id);
    if (verdict.outcome === 'infected') {
      this.logger.warn({ storedObject, signature: verdict.signature }, 'stored object found infected');
      await this.infected.quarantineObject(object, now);
      return false;
    }
    if (digest.sha256 !== object.sha256) {
      await this.verification.verify(object.id, now, signal);
      return false;
    }
    if (verdict.outcome === 'error') {
      this.logger.error({ storedObject, why: verdict.message }, 'stored object not scanned');
      return false;
    }
    return true;
  }
}
