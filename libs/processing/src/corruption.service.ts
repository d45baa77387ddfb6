import { createHash } from 'node:crypto';
import { Inject, Injectable } from '@nestjs/common';
import { PinoLogger } from 'nestjs-pino';
import { StoredObjectsService } from '#libs/assets';
import { corruptKey, type ObjectVersion } from '#libs/domain';
import { ObjectStore } from '#libs/storage';
import { hashed } from './content-digest.js';
import { ProcessingMetrics } from './processing-metrics.js';
import { PIPELINE_OPTIONS, type PipelineOptions } from './processing.options.js';

/** A stored object at the version that its row knows. */
export interface SuspectObject {
  readonly id: bigint;
  readonly sha256: string;
  readonly place: ObjectVersion;
}

/**
 * Takes damaged stored bytes out of service: they move to the quarantine bucket for an operator, and the object is CORRUPT until
 * the next upload of the same bytes stores them anew. Every step can be repeated.
 */
@Injectable()
export class CorruptionService {
  constructor(
    @Inject(PIPELINE_OPTIONS) private readonly options: PipelineOptions,
    private readonly store: ObjectStore,
    private readonly objects: StoredObjectsService,
    private readonly metrics: ProcessingMetrics,
    private readonly logger: PinoLogger,
  ) {
    logger.setContext(CorruptionService.name);
  }

  /**
   * Reads an object once more whose bytes had another hash, and removes it when they have again: a fault on the way from storage
   * damages one reading.
   * @throws StowageError not-found OBJECT_NOT_FOUND; unavailable
   */
  async confirm(object: SuspectObject, signal?: AbortSignal): Promise<void> {
    const hash = createHash('sha256');
    const content = hashed(this.store.read(object.place, { signal }), hash);
    while ((await content.next()).done !== true);
    if (hash.digest('hex') === object.sha256) {
      this.logger.warn({ storedObject: String(object.id) }, 'one reading of a stored object was damaged');
    } else await this.remove(object, signal);
  }

  /** @throws StowageError unavailable */
  async remove({ id, sha256, place }: SuspectObject, signal?: AbortSignal): Promise<void> {
    const to = { bucket: this.options.quarantineBucket, key: corruptKey(sha256) };
    const request = { from: place, to, expect: 'absent' as const, contentType: 'application/octet-stream' };
    await this.store.copy(request, { signal });
    if (!(await this.objects.markCorrupt(id, place.version))) return;
    this.metrics.foundCorrupt();
    this.logger.error({ storedObject: String(id) }, 'stored object is corrupt');
    await this.store.delete(place, { signal });
  }
}
