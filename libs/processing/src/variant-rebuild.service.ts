import { Inject, Injectable } from '@nestjs/common';
import { PinoLogger } from 'nestjs-pino';
import {
  type ClaimedObject,
  ObjectMaintenanceService,
  ObjectVariantsService,
  QuarantineService,
} from '#libs/assets';
import { OCTET_STREAM, specOf, specsOf, StowageError } from '#libs/domain';
import type { Inspection } from '#libs/inspection';
import { ContentInspector } from './content-inspector.js';
import { ContentStore } from './content-store.js';
import { CorruptionService } from './corruption.service.js';
import { ContentReader, type ReadResult } from './content-reader.js';
import { PIPELINE_OPTIONS, type PipelineOptions } from './processing.options.js';

/** Makes the variants of stored pictures again when the profiles have changed, newest first, and removes the old ones. */
@Injectable()
export class VariantRebuildService {
  constructor(
    @Inject(PIPELINE_OPTIONS) private readonly options: PipelineOptions,
    private readonly maintenance: ObjectMaintenanceService,
    private readonly variants: ObjectVariantsService,
    private readonly contents: ContentStore,
    private readonly corruption: CorruptionService,
    private readonly quarantine: QuarantineService,
    private readonly contentReader: ContentReader,
    private readonly inspector: ContentInspector,
    private readonly logger: PinoLogger,
  ) {
    logger.setContext(VariantRebuildService.name);
  }

  /**
   * The next picture; false when there is none. What fails, or is not what was stored, comes up again after an hour.
   * @throws StowageError unavailable; InspectionFailed
   */
  async next(now: Date, signal?: AbortSignal): Promise<boolean> {
    const { profiles } = this.options;
    const object = await this.maintenance.claim('variants', specsOf(profiles), null, now);
    if (object === null) return false;
    const made = await this.variants.made(object.scope, object.sha256, signal);
    const missing = profiles.filter((profile) => !made.has(specOf(profile)));
    if (missing.length > 0) {
      const { place, sizeBytes } = object;
      await using read = await this.contentReader.read(
        { object: place, sizeBytes, mimeType: OCTET_STREAM },
        { mayInspect: true, signal },
      );
      if (!(await this.isSound(object, read, now, signal))) return true;
      const found = await this.look(object, read, missing, signal);
      const storedObject = String(object.id);
      if (found === null || found.refusal !== null) {
        // The old ones stay: better than none.
        this.logger.warn({ storedObject, why: found?.refusal?.message }, 'variants not made again');
        await this.variants.note(object.id, specsOf(profiles), null);
        return true;
      }
      if (found.variantsReason !== null) {
        await this.variants.note(object.id, specsOf(profiles), found.variantsReason);
        return true;
      }
      await this.contents.putVariants(object.id, object, object.scope, found.renditions, signal);
    }
    await this.variants.settle(object.id, profiles);
    return true;
  }

  /** Whether the bytes are still the ones that were stored, and nobody knows worse of them by now. */
  private async isSound(
    object: ClaimedObject,
    { digest, verdict }: ReadResult,
    now: Date,
    signal?: AbortSignal,
  ): Promise<boolean> {
    const storedObject = String(object.id);
    if (verdict.outcome === 'infected') {
      this.logger.warn({ storedObject, signature: verdict.signature }, 'stored object found infected');
      await this.quarantine.seize(object, this.options.quarantineBucket, now);
      return false;
    }
    if (digest.sha256 !== object.sha256) {
      await this.corruption.confirm(object, signal);
      return false;
    }
    if (verdict.outcome === 'error') {
      this.logger.error({ storedObject, why: verdict.message }, 'stored object not scanned');
      return false;
    }
    return true;
  }

  private async look(
    { sizeBytes, scope, sha256 }: ClaimedObject,
    { path, detected }: ReadResult,
    profiles: PipelineOptions['profiles'],
    signal?: AbortSignal,
  ): Promise<Inspection | null> {
    if (path === null) return null;
    try {
      const request = { path, sizeBytes, detected, profiles };
      return await this.inspector.inspect(request, { scope, sha256 }, signal);
    } catch (error) {
      if (error instanceof StowageError && error.kind === 'rejected') return null;
      throw error;
    }
  }
}
