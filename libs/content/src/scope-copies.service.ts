import { Injectable } from '@nestjs/common';
import { Clock, columnsSql, Database, statement, type StoredObject, type Tx } from '#libs/database';
import {
  type FeatureProperties,
  kindOf,
  type ObjectVersion,
  StowageError,
  variantKey,
  type VariantsReason,
} from '#libs/domain';
import { ObjectStore } from '#libs/storage';
import { ContentConfig } from './content.config.js';
import { ContentWriter, type StoredContent } from './content-writer.js';
import { type NewVariant, ObjectVariantsRepository } from './object-variants.repository.js';
import { type ObjectFacts, StoredObjectsRepository } from './stored-objects.repository.js';

const SOURCE_COLUMNS = [
  'id',
  'scope',
  'sha256',
  'crc32c',
  'sizeBytes',
  'state',
  'scannedBy',
  'scannedAt',
  'variantSpecs',
  'variantsReason',
  'readBy',
  'featureProperties',
] as const satisfies readonly (keyof StoredObject)[];

/** The bucket is null when no copy is recorded: the bytes were taken away. */
type Source = Pick<StoredObject, (typeof SOURCE_COLUMNS)[number]> & (ObjectVersion | { bucket: null });

const SOURCE = statement<Source>(
  'scope_copies_source',
  `select ${columnsSql<StoredObject>('o', SOURCE_COLUMNS)}, c.bucket, c.key, c.version from stored_objects o
      left join object_copies c on c.stored_object_id = o.id and c.version is not null
    where o.id = $1 order by c.location limit 1`,
);

/** Locks rows in id order: the lock order of all transactions. */
const LOCK = statement<Pick<StoredObject, 'id' | 'state'>>(
  'scope_copies_lock',
  `select id, state from stored_objects where id = any($1::bigint[]) order by id for no key update`,
);

/** A pinned copy of a stored object in another scope. */
export interface ScopeCopy extends StoredContent {
  /** The object that was copied, at this version, and what is known of its bytes. */
  readonly source: { readonly id: bigint; readonly version: string; readonly facts: ObjectFacts };
}

/** Copies stored objects, with their variants, into the dedupe scope of another owner. Each step can be repeated. */
@Injectable()
export class ScopeCopiesService extends ContentWriter {
  constructor(
    config: ContentConfig,
    store: ObjectStore,
    objects: StoredObjectsRepository,
    variants: ObjectVariantsRepository,
    clock: Clock,
    private readonly database: Database,
  ) {
    super(config, store, objects, variants, clock);
  }

  /**
   * Copies an object into a scope. An object with these bytes that the scope has already is the copy. The copy is pinned for an hour:
   * {@link moveReference} must follow.
   * @returns null for an object that is in the scope itself, or that does not exist any more
   * @throws StowageError conflict BYTES_NOT_COPYABLE for damaged and infected objects; unavailable
   */
  async copyInto(scope: string, objectId: bigint): Promise<ScopeCopy | null> {
    const [source] = await this.database.query(SOURCE, [objectId]);
    if (source === undefined || source.scope === scope) return null;
    if (source.state !== 'LIVE' || source.bucket === null) throw notCopyable();
    if (await this.objects.isKnownInfected(source.sha256)) throw notCopyable();
    const { id, bucket, key, version, sizeBytes } = source;
    try {
      const stored = await this.put(
        { bucket, key, version },
        { ...source, sizeBytes: Number(sizeBytes) },
        scope,
      );
      await this.copyVariants(source, stored.objectId, scope);
      return { ...stored, source: { id, version, facts: await this.factsOf(source, scope) } };
    } catch (error) {
      // The bytes were deleted or found infected after the row was read.
      if (kindOf(error) === 'not-found' || kindOf(error) === 'rejected') throw notCopyable(error);
      throw error;
    }
  }

  /**
   * Moves one reference from the copied object to the copy, in the transaction that points the asset at the copy.
   * @returns false when the object that was copied has changed, or no asset may point at the copy any more; then the transaction must
   * be rolled back and the object copied again
   */
  async moveReference(tx: Tx, { objectId, source: { id, version, facts } }: ScopeCopy): Promise<boolean> {
    const locked = await tx.$queryRawUnsafe<{ id: bigint; state: string }[]>(LOCK.text, [id, objectId]);
    if (!locked.some((object) => object.id === id && object.state === 'LIVE')) return false;
    // Between the copy and the lock, the bytes may have been found damaged and have been stored again.
    if ((await tx.objectCopy.count({ where: { storedObjectId: id, version } })) === 0) return false;
    if (!(await this.objects.addReference(tx, objectId, facts))) return false;
    await this.objects.removeReferences(tx, id, this.clock.now());
    return true;
  }

  /** A worker that reads the damaged copy again takes it out of service. */
  protected override handleDamaged(): Promise<void> {
    return Promise.reject(notCopyable());
  }

  /** Leaves out variants that are deleted meanwhile. A worker builds those that the copy lacks. */
  private async copyVariants({ id, sha256 }: Source, objectId: bigint, scope: string): Promise<void> {
    for (const { bucket, key, version, ...variant } of await this.variants.others(id, [])) {
      if (version === null) continue;
      const { spec, name, mimeType, width, height, sizeBytes } = variant;
      const at = { bucket: this.config.contentBucket, key: variantKey(sha256, spec, scope) };
      const copy: NewVariant = { ...at, spec, name, mimeType, width, height, sizeBytes };
      try {
        const isStored = await this.putVariant(objectId, copy, (to, expect) =>
          this.copy({ bucket, key, version }, to, expect, mimeType),
        );
        if (!isStored) return;
      } catch (error) {
        if (kindOf(error) !== 'not-found') throw error;
      }
    }
  }

  private async factsOf(source: Source, scope: string): Promise<ObjectFacts> {
    const { scannedBy, scannedAt, variantSpecs, variantsReason, readBy, featureProperties } = source;
    const specs = await this.specsOfVariants(source, scope);
    const hasReason = specs === '' && variantsReason !== null;
    return {
      scannedBy,
      variantSpecs: variantSpecs === null || hasReason ? variantSpecs : specs,
      variantsReason: hasReason ? (variantsReason as VariantsReason) : null,
      readBy: readBy ?? undefined,
      featureProperties: (featureProperties as FeatureProperties | null) ?? undefined,
      now: scannedAt ?? this.clock.now(),
    };
  }
}

const notCopyable = (cause?: unknown) =>
  new StowageError(
    'conflict',
    'BYTES_NOT_COPYABLE',
    'The stored bytes are damaged or infected, so they cannot be copied for the new owner.',
    { cause },
  );
