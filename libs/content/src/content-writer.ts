import { Clock } from '#libs/database';
import {
  contentKey,
  type ObjectRef,
  type ObjectVersion,
  OCTET_STREAM,
  specsText,
  StowageError,
  unavailable,
} from '#libs/domain';
import { type ExpectedVersion, type ObjectStat, ObjectStore } from '#libs/storage';
import { ContentConfig } from './content.config.js';
import type { SuspectObject } from './corruption.service.js';
import { type NewVariant, ObjectVariantsRepository } from './object-variants.repository.js';
import { type Content, StoredObjectsRepository } from './stored-objects.repository.js';

export const CACHE_CONTROL = 'private, max-age=31536000, immutable';
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

/** Writes an object if its key is as expected; null otherwise. */
type Write = (to: ObjectRef, expect: ExpectedVersion) => Promise<Written | null>;

/**
 * Writes objects to their keys in the content bucket. Identical bytes of one scope share one object. A pinned row exists before
 * anything is written. The copy is always attempted, so that known and new bytes cause the same calls.
 */
export abstract class ContentWriter {
  constructor(
    protected readonly config: ContentConfig,
    protected readonly store: ObjectStore,
    protected readonly objects: StoredObjectsRepository,
    protected readonly variants: ObjectVariantsRepository,
    protected readonly clock: Clock,
  ) {}

  /** Handles an object whose bytes at the recorded version are not those that were stored; the write is tried again then. */
  protected abstract handleDamaged(object: SuspectObject, signal?: AbortSignal): Promise<void>;

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
    digest: Omit<Content, 'scope'>,
    scope: string,
    signal?: AbortSignal,
  ): Promise<StoredContent> {
    const to = { bucket: this.config.contentBucket, key: contentKey(digest.sha256, scope) };
    for (let attempt = 0; attempt < MAX_TRIES; attempt++) {
      const staged = await this.objects.stage({ ...digest, scope }, to, this.clock.now());
      if (staged === null) break;
      const { id: objectId, version } = staged;
      const isStored = await this.writeOnce(to, version, {
        // Signed URLs carry the type of the asset; the object itself has no metadata of the client.
        write: (expect) => this.copy(from, to, expect, OCTET_STREAM, signal),
        record: (copy, superseded) => this.objects.recordCopy(objectId, copy, superseded),
        isIntact: async (stored) => {
          const sameSum = stored.crc32c === null || stored.crc32c === digest.crc32c;
          if (sameSum && stored.sizeBytes === digest.sizeBytes) return true;
          await this.handleDamaged({ id: objectId, sha256: digest.sha256, location: stored }, signal);
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
   * The specifications to record after variants were written: those that exist now. They may differ from the configured ones, since
   * another worker may have deleted or added variants meanwhile; then the variants are rebuilt.
   */
  async specsOfVariants({ sha256 }: Pick<Content, 'sha256'>, scope: string): Promise<string> {
    return specsText(await this.variantsOf(sha256, scope)).slice(0, MAX_SPECS);
  }

  /**
   * Writes a variant of a stored object to its key.
   * @returns false when the object was deleted meanwhile; its variants are deleted with it
   */
  protected async putVariant(objectId: bigint, variant: NewVariant, write: Write): Promise<boolean> {
    const to = { bucket: variant.bucket, key: variant.key };
    for (let attempt = 0; attempt < MAX_TRIES; attempt++) {
      const version = await this.variants.stage(objectId, variant, this.clock.now());
      if (version === undefined) return false;
      const isStored = await this.writeOnce(to, version, {
        write: (expect) => write(to, expect),
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

  /**
   * Copies one version of an object.
   * @returns null when the key is not as expected
   * @throws StowageError not-found INCOMING_GONE when the version does not exist; unavailable
   */
  protected async copy(
    from: ObjectVersion,
    to: ObjectRef,
    expect: ExpectedVersion,
    contentType: string,
    signal?: AbortSignal,
  ): Promise<Written | null> {
    const request = { from, to, expect, contentType, cacheControl: CACHE_CONTROL };
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
