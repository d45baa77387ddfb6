import { Inject, Injectable } from '@nestjs/common';
import { PinoLogger } from 'nestjs-pino';
import { type ClaimedObject, ObjectUpkeep, ObjectVariants } from '#libs/assets';
import { OCTET_STREAM, specOf, specsOf } from '#libs/domain';
import { type Inspection, Inspector } from '#libs/inspection';
import { ContentStore } from './content-store.js';
import { Intake } from './intake.js';
import { PIPELINE_OPTIONS, type PipelineOptions } from './processing.options.js';

/** Makes the variants of stored pictures again when the profiles have changed, newest first, and removes the old ones. */
@Injectable()
export class Rederivation {
  constructor(
    @Inject(PIPELINE_OPTIONS) private readonly options: PipelineOptions,
    private readonly upkeep: ObjectUpkeep,
    private readonly variants: ObjectVariants,
    private readonly contents: ContentStore,
    private readonly intake: Intake,
    private readonly inspector: Inspector,
    private readonly logger: PinoLogger,
  ) {
    logger.setContext(Rederivation.name);
  }

  /**
   * The next picture; false when there is none. What fails comes up again after an hour.
   * @throws StowageError unavailable; InspectionFailed
   */
  async next(now: Date, signal?: AbortSignal): Promise<boolean> {
    const { profiles } = this.options;
    const object = await this.upkeep.claim('variants', specsOf(profiles), null, now);
    if (object === null) return false;
    const made = await this.variants.made(object.scope, object.sha256, signal);
    const missing = profiles.filter((profile) => !made.has(specOf(profile)));
    if (missing.length > 0) {
      const found = await this.look(object, missing, signal);
      const storedObject = String(object.id);
      if (found === null || found.refusal !== null) {
        // The old ones stay: better than none.
        this.logger.warn({ storedObject, why: found?.refusal?.message }, 'variants not made again');
        await this.variants.note(object.id, specsOf(profiles));
        return true;
      }
      await this.contents.putVariants(object.id, object, object.scope, found.renditions, signal);
    }
    await this.variants.settle(object.id, profiles.map(specOf));
    return true;
  }

  private async look(
    { place, sizeBytes }: ClaimedObject,
    profiles: PipelineOptions['profiles'],
    signal?: AbortSignal,
  ): Promise<Inspection | null> {
    const wanted = { object: place, sizeBytes, mimeType: OCTET_STREAM };
    await using taken = await this.intake.take(wanted, signal);
    const { path, detected } = taken;
    if (path === null) return null;
    // Awaited here: the file goes when this returns.
    return await this.inspector.inspect({ path, sizeBytes, detected, profiles }, signal);
  }
}
