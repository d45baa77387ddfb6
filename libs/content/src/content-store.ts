import { Injectable } from '@nestjs/common';
import { Clock } from '#libs/database';
import { specOf, specsOf, variantKey, type VariantProfile, variantType } from '#libs/domain';
import type { Rendition } from '#libs/inspection';
import { ObjectStore } from '#libs/storage';
import { ContentConfig, ContentStoreConfig } from './content.config.js';
import type { Digest } from './content-digest.js';
import { CACHE_CONTROL, ContentWriter } from './content-writer.js';
import { CorruptionService, type SuspectObject } from './corruption.service.js';
import { type NewVariant, ObjectVariantsRepository } from './object-variants.repository.js';
import { StoredObjectsRepository } from './stored-objects.repository.js';

/** Stores verified bytes and their variants in the content bucket. */
@Injectable()
export class ContentStore extends ContentWriter {
  constructor(
    config: ContentConfig,
    private readonly storeConfig: ContentStoreConfig,
    store: ObjectStore,
    objects: StoredObjectsRepository,
    variants: ObjectVariantsRepository,
    private readonly corruption: CorruptionService,
    clock: Clock,
  ) {
    super(config, store, objects, variants, clock);
  }

  /** The specifications to record for a picture that has no variants; it is tried again when the profiles change. */
  specsOfProfiles(): string {
    return specsOf(this.storeConfig.profiles);
  }

  /** Writes variants of a stored object. @returns false when the object was deleted meanwhile; its variants are deleted with it */
  async putVariants(
    objectId: bigint,
    { sha256 }: Pick<Digest, 'sha256'>,
    scope: string,
    renditions: readonly Rendition[],
    signal?: AbortSignal,
  ): Promise<boolean> {
    for (const { profile, width, height, bytes } of renditions) {
      const spec = specOf(profile);
      const to = { bucket: this.config.contentBucket, key: variantKey(sha256, spec, scope) };
      const mimeType = variantType(profile.format);
      const size = { width, height, sizeBytes: bytes.length };
      const variant: NewVariant = { ...to, spec, name: profile.name, mimeType, ...size };
      const isStored = await this.putVariant(objectId, variant, async (at, expect) => {
        const request = { to: at, body: bytes, expect, contentType: mimeType, cacheControl: CACHE_CONTROL };
        const result = await this.store.write(request, { signal });
        return result.outcome === 'written' ? result.object : null;
      });
      if (!isStored) return false;
    }
    return true;
  }

  /** Keeps exactly the variants of these profiles, under their present names: deletes the others and records the specifications. */
  async keepVariants(objectId: bigint, profiles: readonly VariantProfile[]): Promise<void> {
    for (const { spec, bucket, key, version } of await this.variants.others(objectId, profiles.map(specOf))) {
      const found = version === null ? await this.store.stat({ bucket, key }) : { bucket, key, version };
      if (found !== null) await this.store.delete(found);
      await this.variants.drop(objectId, spec);
    }
    for (const profile of profiles) await this.variants.rename(objectId, specOf(profile), profile.name);
    await this.variants.recordSpecs(objectId, specsOf(profiles), null);
  }

  protected override async handleDamaged(object: SuspectObject, signal?: AbortSignal): Promise<void> {
    await this.corruption.remove(object, signal);
  }
}
