import { Injectable } from '@nestjs/common';
import { PinoLogger } from 'nestjs-pino';
import {
  type ClaimedObject,
  ContentStore,
  ContentStoreConfig,
  ObjectMaintenanceRepository,
  ObjectVariantsRepository,
} from '#libs/content';
import { OCTET_STREAM, specOf, specsOf, StowageError, unmadeSpecsOf } from '#libs/domain';
import type { Inspection } from '#libs/inspection';
import { inPages, StowageTask, type TaskContext, type TaskStep } from '#libs/runtime';
import { ContentInspector } from './content-inspector.js';
import type { ReadResult } from './content-reader.js';
import { StoredContentReader } from './stored-content-reader.js';

const PAGE = 500;

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

  @StowageTask('variants', { seconds: 10 }, { concurrency: 1 })
  async *rebuildAll({ now, signal, isDryRun }: TaskContext): AsyncGenerator<TaskStep> {
    if (isDryRun) {
      const specs = this.currentSpecs();
      const page = (after?: { id: bigint }) => this.maintenance.peek('variants', specs, after?.id, now, PAGE);
      for await (const objects of inPages(PAGE, page)) {
        for (const { id } of objects) yield step(id, () => Promise.resolve());
      }
      return;
    }
    for (let object; (object = await this.claim(now)) !== null;) {
      const claimed = object;
      yield step(claimed.id, () => this.rebuild(claimed, now, signal));
    }
  }

  /**
   * Rebuilds the variants of the next picture. A failed or damaged picture is tried again when its claim expires, after an hour.
   * @returns false when nothing is due
   * @throws StowageError unavailable; InspectionFailed
   */
  async next(now: Date, signal?: AbortSignal): Promise<boolean> {
    const object = await this.claim(now);
    if (object === null) return false;
    await this.rebuild(object, now, signal);
    return true;
  }

  /** The recorded texts of objects that are done: their variants were made, or could not be made. */
  private currentSpecs(): string[] {
    const { profiles } = this.config;
    return [specsOf(profiles), unmadeSpecsOf(profiles)];
  }

  private claim(now: Date): Promise<ClaimedObject | null> {
    return this.maintenance.claim('variants', this.currentSpecs(), null, now);
  }

  private async rebuild(object: ClaimedObject, now: Date, signal?: AbortSignal): Promise<void> {
    const { profiles } = this.config;
    const existing = await this.contents.variantsOf(object.sha256, object.scope, signal);
    const missing = profiles.filter((profile) => !existing.has(specOf(profile)));
    if (missing.length > 0) {
      await using read = await this.storedContent.read(object, OCTET_STREAM, now, signal);
      if (read === null) return;
      const found = await this.inspect(object, read, missing, signal);
      const storedObject = String(object.id);
      if (found === null || found.refusal !== null) {
        // Keep the old variants. The others were never made, so they must not count as lost.
        this.logger.warn({ storedObject, why: found?.refusal?.message }, 'variants not rebuilt');
        return this.variants.recordSpecs(object.id, unmadeSpecsOf(profiles), null);
      }
      if (found.variantsReason !== null) {
        return this.variants.recordSpecs(object.id, unmadeSpecsOf(profiles), found.variantsReason);
      }
      await this.contents.putVariants(object.id, object, object.scope, found.renditions, signal);
    }
    await this.contents.keepVariants(object.id, profiles);
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

function step(id: bigint, rebuild: () => Promise<void>): TaskStep {
  const perform = () => rebuild().then(() => true);
  return {
    subject: { storedObject: String(id) },
    examine: () => ({ action: 'rebuild', subject: `variants of object ${id}`, perform }),
  };
}
