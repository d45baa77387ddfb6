import { Injectable } from '@nestjs/common';
import { Clock } from '#libs/database';
import {
  contentKey,
  type ObjectRef,
  type ObjectVersion,
  OCTET_STREAM,
  specOf,
  specsOf,
  specsText,
  StowageError,
  unavailable,
  variantKey,
  type VariantProfile,
  variantType,
} from '#libs/domain';
import type { Rendition } from '#libs/inspection';
import { type ExpectedVersion, type ObjectStat, ObjectStore } from '#libs/storage';
import { ContentConfig, ContentStoreConfig } from './content.config.js';
import type { Digest } from './content-digest.js';
import { CorruptionService } from './corruption.service.js';
import { type NewVariant, ObjectVariantsRepository } from './object-variants.repository.js';
import { StoredObjectsRepository } from './stored-objects.repository.js';

const CACHE_CONTROL = 'private, max-age=31536000, immutable';
/** Length of the column. A text that was cut off differs from every configured one, so the variants are rebuilt. */
const MAX_SPECS = 512;
/** Each retry means that another worker changed the object at the same time. */
const MAX_TRIES = 10;

export interface StoredContent extends ObjectRef {
  readonly objectId: bigint;
}

/** An object that was written. */
interface Written {
  readonly version: string;
  readonly storageClass: string | null;
}

/**
 * Stores verified bytes and their variants in the content bucket. Identical bytes share one object. A pinned row exists before
 * anything is written. The copy is always attempted, so that known and new bytes cause the same calls.
 */
@Injectable()
export class ContentStore {
  constructor(
    private readonly config: ContentConfig,
    private readonly storeConfig: ContentStoreConfig,
    private readonly store: ObjectStore,
    private readonly objects: StoredObjectsRepository,
    private readonly variants: ObjectVariantsRepository,
    private readonly corruption: CorruptionService,
    private readonly clock: Clock,
  ) {}

  /** The dedupe scope of this owner's bytes: empty when all owners share objects. */
  scopeOf(ownerId: bigint): string {
    return this.config.dedupeScope === 'owner' ? String(ownerId) : '';
  }

  /**
   * Copies verified bytes to their content key, unless an intact copy is recorded.
   * @throws StowageError not-found INCOMING_GONE; rejected MALWARE; unavailable STORED_OBJECT_BUSY, STORAGE_UNAVAILABLE
   */
  async put(
    from: ObjectVersion,
    digest: Digest,
    scope: string,
    signal?: AbortSignal,
  ): Promise<StoredContent> {
    const to = { bucket: this.config.contentBucket, key: contentKey(digest.sha256, scope) };
    for (let attempt = 0; attempt < MAX_TRIES; attempt++) {
      const staged = await this.objects.stage({ scope, ...digest }, to, this.clock.now());
      if (staged === null) break;
      const { id: objectId, version } = staged;
      const isStored = await this.writeOnce(to, version, {
        write: (expect) => this.copy(from, to, expect, signal),
        record: (copy, superseded) => this.objects.recordCopy(objectId, copy, superseded),
        isIntact: async (stored) => {
          const sameSum = stored.crc32c === null || stored.crc32c === digest.crc32c;
          if (sameSum && stored.sizeBytes === digest.sizeBytes) return true;
          await this.corruption.remove({ id: objectId, sha256: digest.sha256, location: stored }, signal);
          return false;
        },
      });
      if (isStored) return { objectId, ...to };
    }
    if (await this.objects.isKnownInfected(digest.sha256)) throw infected('these very bytes');
    throw busy();
  }

  /**
   * Specifications, with their names, of the variants that both the rows and storage have at the same version: a worker that died
   * between writing a variant and recording it left a row with the version before.
   */
  async variantsOf(
    sha256: string,
    scope: string,
    signal?: AbortSignal,
  ): Promise<ReadonlyMap<string, string>> {
    const recorded = await this.variants.recorded(scope, sha256);
    const stats = await Promise.all(
      recorded.map(({ bucket, key }) => this.store.stat({ bucket, key }, { signal })),
    );
    const existing = recorded.filter(({ version }, at) => stats[at]?.version === version);
    return new Map(existing.map(({ spec, name }) => [spec, name]));
  }

  /**
   * The specifications to record after {@link putVariants}: those that exist now. They may differ from the configured ones, since
   * another worker may have deleted or added variants meanwhile; then the variants are rebuilt.
   */
  async specsOfVariants({ sha256 }: Digest, scope: string): Promise<string> {
    return specsText(await this.variantsOf(sha256, scope)).slice(0, MAX_SPECS);
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
      if (!(await this.putVariant(objectId, variant, bytes, signal))) return false;
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

  private async putVariant(objectId: bigint, variant: NewVariant, body: Buffer, signal?: AbortSignal) {
    const to = { bucket: variant.bucket, key: variant.key };
    const { mimeType: contentType } = variant;
    for (let attempt = 0; attempt < MAX_TRIES; attempt++) {
      const version = await this.variants.stage(objectId, variant, this.clock.now());
      if (version === undefined) return false;
      const isStored = await this.writeOnce(to, version, {
        write: async (expect) => {
          const request = { to, body, expect, contentType, cacheControl: CACHE_CONTROL };
          const result = await this.store.write(request, { signal });
          return result.outcome === 'written' ? result.object : null;
        },
        record: ({ version: written }, superseded) =>
          this.variants.record(objectId, variant, written, superseded),
      });
      if (isStored) return true;
    }
    throw busy();
  }

  /**
   * Writes an object if its key is free, or over an object whose version no row records: such bytes are never trusted.
   * @returns false when another worker changed the key or the row at the same time
   */
  private async writeOnce(
    to: ObjectRef,
    known: string | null,
    how: {
      write: (expect: ExpectedVersion) => Promise<Written | null>;
      record: (written: Written, superseded: readonly string[]) => Promise<boolean>;
      /** Checks the object at the recorded version. */
      isIntact?: (stored: ObjectStat) => Promise<boolean>;
    },
  ): Promise<boolean> {
    const superseded = known === null ? [] : [known];
    const record = async (written: Written, replaced: readonly string[]) => {
      if (await how.record(written, replaced)) return true;
      // The row is being deleted or records another copy, so no row refers to this one.
      await this.store.delete({ ...to, version: written.version });
      return false;
    };
    const first = await how.write('absent');
    // The key was free, so the recorded version does not exist any more.
    if (first !== null) return record(first, superseded);
    const current = await this.store.stat(to);
    if (current === null) return false;
    if (current.version === known) return how.isIntact?.(current) ?? true;
    const second = await how.write({ version: current.version });
    return second !== null && record(second, [...superseded, current.version]);
  }

  private async copy(
    from: ObjectVersion,
    to: ObjectRef,
    expect: ExpectedVersion,
    signal?: AbortSignal,
  ): Promise<Written | null> {
    // Signed URLs carry the type of the asset; the object itself has no metadata of the client.
    const request = { from, to, expect, contentType: OCTET_STREAM, cacheControl: CACHE_CONTROL };
    const result = await this.store.copy(request, { signal });
    switch (result.outcome) {
      case 'copied':
        return result.copy;
      case 'changed':
        return null;
      case 'source-missing':
        throw incomingGone();
    }
  }
}

const busy = () => unavailable('STORED_OBJECT_BUSY', 'The stored object is being changed. Try again later.');

export const infected = (what: string) =>
  new StowageError('rejected', 'MALWARE', `The file is infected: ${what}.`);

export const incomingGone = () =>
  new StowageError('not-found', 'INCOMING_GONE', 'The uploaded bytes are not there any more.');
