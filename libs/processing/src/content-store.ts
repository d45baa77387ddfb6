import { Inject, Injectable } from '@nestjs/common';
import {
  ASSETS_OPTIONS,
  type AssetsOptions,
  type NewVariant,
  ObjectVariantsService,
  QuarantineService,
  StoredObjectsService,
} from '#libs/assets';
import { Clock } from '#libs/database';
import {
  contentKey,
  type ObjectRef,
  type ObjectVersion,
  specOf,
  specsOf,
  specsText,
  StowageError,
  unavailable,
  variantKey,
  variantType,
} from '#libs/domain';
import type { Rendition } from '#libs/inspection';
import { type ExpectedVersion, type ObjectStat, ObjectStore } from '#libs/storage';
import { CorruptionService } from './corruption.service.js';
import type { Digest } from './content-digest.js';
import { PIPELINE_OPTIONS, type PipelineOptions } from './processing.options.js';

/** Readers get the asset's own type through the signed URL; nothing of the client's is stored beside the bytes. */
const STORED_TYPE = 'application/octet-stream';
const CACHE_CONTROL = 'private, max-age=31536000, immutable';
/** Of the column: what is cut off is not what is wanted, and that is all there is to see. */
const MAX_SPECS = 512;
/** Every turn means that somebody else changed the object just then. */
const MAX_TURNS = 10;

export interface StoredContent extends ObjectRef {
  readonly objectId: bigint;
}

/** What was written where, or that the place was not as expected. */
interface Written {
  readonly version: string;
  readonly storageClass: string | null;
}

/**
 * Verified bytes to their place in the content bucket, which identical bytes share, and their variants beside them. A row stands
 * and is pinned before anything is written; the copy is always tried, so that hit and miss take the same calls.
 */
@Injectable()
export class ContentStore {
  constructor(
    @Inject(ASSETS_OPTIONS) private readonly options: AssetsOptions,
    @Inject(PIPELINE_OPTIONS) private readonly pipeline: PipelineOptions,
    private readonly store: ObjectStore,
    private readonly objects: StoredObjectsService,
    private readonly variants: ObjectVariantsService,
    private readonly quarantine: QuarantineService,
    private readonly corruption: CorruptionService,
    private readonly clock: Clock,
  ) {}

  /** Who shares identical bytes with this owner. */
  scopeOf(ownerId: bigint): string {
    return this.options.dedupeScope === 'owner' ? String(ownerId) : '';
  }

  /**
   * @throws StowageError not-found INCOMING_GONE; rejected MALWARE; unavailable STORED_OBJECT_BUSY, STORAGE_UNAVAILABLE
   */
  async put(
    from: ObjectVersion,
    digest: Digest,
    scope: string,
    signal?: AbortSignal,
  ): Promise<StoredContent> {
    const to = { bucket: this.options.contentBucket, key: contentKey(digest.sha256, scope) };
    for (let turn = 0; turn < MAX_TURNS; turn++) {
      const staged = await this.objects.stage({ scope, ...digest }, to, this.clock.now());
      if (staged === null) break;
      const { id: objectId, version } = staged;
      const isThere = await this.place(to, version, {
        write: (expect) => this.copy(from, to, expect, signal),
        record: (copy, superseded) => this.objects.recordCopy(objectId, copy, superseded),
        isIntact: async (there) => {
          const sameSum = there.crc32c === null || there.crc32c === digest.crc32c;
          if (sameSum && there.sizeBytes === digest.sizeBytes) return true;
          await this.corruption.remove({ id: objectId, sha256: digest.sha256, place: there }, signal);
          return false;
        },
      });
      if (isThere) return { objectId, ...to };
    }
    if (await this.objects.isKnownInfected(digest.sha256)) throw infected('these very bytes');
    throw busy();
  }

  /**
   * Infected bytes to where nobody gets at them, and from all who have them already: they were stored when no scanner knew.
   * @throws StowageError not-found INCOMING_GONE
   */
  async putAway(from: ObjectVersion, { sha256 }: Digest, scope: string, signal?: AbortSignal): Promise<void> {
    const { quarantineBucket } = this.pipeline;
    if (!(await this.quarantine.keep(from, quarantineBucket, sha256, signal))) throw incomingGone();
    const id = await this.quarantine.condemnContent(scope, sha256);
    if (id !== null) await this.quarantine.finish({ id, sha256 }, quarantineBucket, this.clock.now());
  }

  /** Specifications of the variants that these bytes have already, with their names. */
  variantsOf(sha256: string, scope: string, signal?: AbortSignal): Promise<ReadonlyMap<string, string>> {
    return this.variants.made(scope, sha256, signal);
  }

  /**
   * What is to be noted of an object whose variants were put: those that stand. Others may have been there when these bytes were
   * looked into and gone with an older object; or are there and no more wanted. Either way they are then derived again.
   */
  async specsOfVariants({ sha256 }: Digest, scope: string): Promise<string> {
    return specsText(await this.variants.made(scope, sha256)).slice(0, MAX_SPECS);
  }

  /** For a picture of which none could be made, so that it is tried again when the profiles change. */
  specsOfProfiles(): string {
    return specsOf(this.pipeline.profiles);
  }

  /** Puts variants of a stored object in their places. False when the object is gone, and what was written with it. */
  async putVariants(
    objectId: bigint,
    { sha256 }: Pick<Digest, 'sha256'>,
    scope: string,
    renditions: readonly Rendition[],
    signal?: AbortSignal,
  ): Promise<boolean> {
    for (const { profile, width, height, bytes } of renditions) {
      const spec = specOf(profile);
      const to = { bucket: this.options.contentBucket, key: variantKey(sha256, spec, scope) };
      const mimeType = variantType(profile.format);
      const size = { width, height, sizeBytes: bytes.length };
      const variant: NewVariant = { ...to, spec, name: profile.name, mimeType, ...size };
      if (!(await this.putVariant(objectId, variant, bytes, signal))) return false;
    }
    return true;
  }

  private async putVariant(objectId: bigint, variant: NewVariant, body: Buffer, signal?: AbortSignal) {
    const to = { bucket: variant.bucket, key: variant.key };
    const { mimeType: contentType } = variant;
    for (let turn = 0; turn < MAX_TURNS; turn++) {
      const version = await this.variants.stage(objectId, variant, this.clock.now());
      if (version === undefined) return false;
      const isThere = await this.place(to, version, {
        write: async (expect) => {
          const request = { to, body, expect, contentType, cacheControl: CACHE_CONTROL };
          const result = await this.store.write(request, { signal });
          return result.outcome === 'written' ? result.object : null;
        },
        record: ({ version: written }, superseded) =>
          this.variants.record(objectId, variant, written, superseded),
      });
      if (isThere) return true;
    }
    throw busy();
  }

  /**
   * One turn: writes where nothing is, or where something is that no row vouches for, which is never trusted. False when
   * somebody else came in between.
   */
  private async place(
    to: ObjectRef,
    known: string | null,
    how: {
      write: (expect: ExpectedVersion) => Promise<Written | null>;
      record: (written: Written, superseded: readonly string[]) => Promise<boolean>;
      /** Of what stands there at the version that the row knows. */
      isIntact?: (there: ObjectStat) => Promise<boolean>;
    },
  ): Promise<boolean> {
    const superseded = known === null ? [] : [known];
    const settle = async (written: Written, instead: readonly string[]) => {
      if (await how.record(written, instead)) return true;
      // The object is being taken away, or another's counts: nothing leads to what was written here.
      await this.store.delete({ ...to, version: written.version });
      return false;
    };
    const first = await how.write('absent');
    // The place was empty, so whatever version the row knew is gone.
    if (first !== null) return settle(first, superseded);
    const there = await this.store.stat(to);
    if (there === null) return false;
    if (there.version === known) return how.isIntact?.(there) ?? true;
    const second = await how.write({ version: there.version });
    return second !== null && settle(second, [...superseded, there.version]);
  }

  private async copy(
    from: ObjectVersion,
    to: ObjectRef,
    expect: ExpectedVersion,
    signal?: AbortSignal,
  ): Promise<Written | null> {
    const request = { from, to, expect, contentType: STORED_TYPE, cacheControl: CACHE_CONTROL };
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
