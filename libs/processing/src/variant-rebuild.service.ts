import { Injectable } from '@nestjs/common';
import { PinoLogger } from 'nestjs-pino';
import {
  type ClaimedObject,
  ContentStore,
  ContentStoreConfig,
  ObjectMaintenanceRepository,
  ObjectVariantsRepository,
} from '#libs/content';
import { OCTET_STREAM, specOf, specsOf, StowageError } from '#libs/domain';
import type { Inspection } from '#libs/inspection';
import { StowageTask, type TaskContext } from '#libs/runtime';
import { ContentInspector } from './content-inspector.js';
import type { ReadResult } from './content-reader.js';
import { StoredContentReader } from './stored-content-reader.js';

/** Rebuilds the variants of stored pictures when the profiles have changed, newest first, and deletes the old ones. */
@Injectable()
export class VariantRebuildService {
  constructor(
    private readonly config: ContentStoreConfig,
    private readonly maintenance: ObjectMaintenanceRepository,
    private readonly variants: ObjectVariantsRepository,
    private readonly contents: ContentStore,
    private readonly storedContent: StoredContentReader,
    private readonly inspector: ContentInspector,
    private readonly logger: PinoLogger,
  ) {
    logger.setContext(VariantRebuildService.name);
  }

  @StowageTask('variants', { seconds: 1 })
  rebuild({ now, signal }: TaskContext): Promise<boolean> {
    return this.next(now, signal);
  }

  /**
   * Rebuilds the variants of the next picture. A failed or damaged picture is tried again when its claim expires, after an hour.
   * @returns false when nothing is due
   * @throws StowageError unavailable; InspectionFailed
   */
  async next(now: Date, signal?: AbortSignal): Promise<boolean> {
    const { profiles } = this.config;
    const object = await this.maintenance.claim('variants', specsOf(profiles), null, now);
    if (object === null) return false;
    const existing = await this.contents.variantsOf(object.sha256, object.scope, signal);
    const missing = profiles.filter((profile) => !existing.has(specOf(profile)));
    if (missing.length > 0) {
      await using read = await this.storedContent.read(object, OCTET_STREAM, now, signal);
      if (read === null) return true;
      const found = await this.inspect(object, read, missing, signal);
      const storedObject = String(object.id);
      if (found === null || found.refusal !== null) {
        // Keep the old variants.
        this.logger.warn({ storedObject, why: found?.refusal?.message }, 'variants not rebuilt');
        await this.variants.recordSpecs(object.id, specsOf(profiles), null);
        return true;
      }
      if (found.variantsReason !== null) {
        await this.variants.recordSpecs(object.id, specsOf(profiles), found.variantsReason);
        return true;
      }
      await this.contents.putVariants(object.id, object, object.scope, found.renditions, signal);
    }
    await this.contents.keepVariants(object.id, profiles);
    return true;
  }

  /** @returns null for a file that is not inspected, or is rejected by the inspection */
  private async inspect(
    { sizeBytes, scope, sha256 }: ClaimedObject,
    { path, detected }: ReadResult,
    profiles: ContentStoreConfig['profiles'],
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
