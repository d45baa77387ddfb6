import { Injectable } from '@nestjs/common';
import {
  Database,
  type ObjectCopy,
  type ObjectState,
  statement,
  type StoredObject,
  type Tx,
} from '#libs/database';
import type { FeatureProperties, ObjectRef, VariantsReason } from '#libs/domain';
import { ContentConfig } from './content.config.js';
import { FeaturePropertiesRepository } from './feature-properties.repository.js';

/** The only location so far. */
export const PRIMARY = 'primary';
/** How long a pin protects bytes from the collector while they are copied. */
const PIN_MS = 60 * 60_000;
const DAY_MS = 24 * 3_600_000;

/** Bytes to store. The scope is the dedupe scope: empty when all owners share objects. */
export type Content = Pick<StoredObject, 'scope' | 'sha256' | 'crc32c'> & { readonly sizeBytes: number };

/** A pinned row, to which assets may point once the bytes are stored. The version of the copy is null until it is recorded. */
export type StagedObject = Pick<StoredObject, 'id'> & Pick<ObjectCopy, 'version'>;

/** A copy or variant. The version is null until it is recorded. */
type Location = Pick<ObjectCopy, 'bucket' | 'key' | 'version'>;

/** A stored object whose bytes are infected. */
export type InfectedObject = Pick<StoredObject, 'id' | 'sha256'>;

/** Facts about the bytes, recorded when an asset begins to point at them. */
export interface ObjectFacts {
  /** Label of the scanner that scanned them last; a scanner with another label scans them again. The verdict stands on the asset. */
  readonly scannedBy: string | null;
  /** Specifications of the variants, made or tried; null for bytes that get none. */
  readonly variantSpecs: string | null;
  /** Why a picture has no variants; null when it has them, and for other files. */
  readonly variantsReason: VariantsReason | null;
  /** The registered file readers of features. Without any, the recorded ones stay. */
  readonly readBy?: string;
  /** Properties by the readers of features that have read the bytes. Other readers keep theirs. */
  readonly featureProperties?: FeatureProperties;
  readonly now: Date;
}

/** The lease of a collector on an object in DELETING. The row stores its end as the end of the pin. */
export interface DeletionLease {
  readonly id: bigint;
  readonly until: Date;
}

/** The row of bytes that the collector could not delete may describe other bytes, so a row in STAGING gets the properties of these. */
const STAGE = statement<StagedObject>(
  'objects_stage',
  `with staged as (
      insert into stored_objects as o (scope, sha256, crc32c, size_bytes, state, pinned_until, created_at)
      values ($1, $2, $3, $4, 'STAGING', $5, $6)
      on conflict (scope, sha256) do update set pinned_until = greatest(o.pinned_until, excluded.pinned_until),
        crc32c = case o.state when 'STAGING' then excluded.crc32c else o.crc32c end,
        size_bytes = case o.state when 'STAGING' then excluded.size_bytes else o.size_bytes end
        where o.state in ('STAGING', 'LIVE', 'CORRUPT')
      returning id),
    located as (
      insert into object_copies (stored_object_id, location, bucket, key)
      select id, '${PRIMARY}', $7, $8 from staged on conflict do nothing)
    select s.id, c.version from staged s
      left join object_copies c on c.stored_object_id = s.id and c.location = '${PRIMARY}'`,
);

const RECORD_COPY = statement<Pick<ObjectCopy, 'version'>>(
  'objects_record_copy',
  // The lock orders this against a collector: one that starts later sees the version, one that has started keeps the row from changing.
  `with o as (select id from stored_objects where id = $1 and state in ('STAGING', 'LIVE', 'CORRUPT') for share)
    update object_copies c set version = $2, storage_class = $3 from o
    where c.stored_object_id = o.id and c.location = '${PRIMARY}' and (c.version is null or c.version = $2 or c.version = any($4::text[]))
    returning c.version`,
);

/** A pin of an upload that is storing the bytes stays if it is longer. */
const REMOVE_REFERENCES = statement<never>(
  'objects_remove_references',
  `update stored_objects set ref_count = ref_count - $2::int,
      pinned_until = case when ref_count = $2::int then greatest(pinned_until, $3::timestamptz) else pinned_until end
    where id = $1`,
);

/**
 * A referenced object needs no pin: another upload that loses its pin here stores the bytes again. Bytes that become LIVE were read by
 * this upload, or by another one within the last hour. The duplicate of a LIVE object was only compared by size and checksum.
 */
const ADD_REFERENCE = statement<Pick<StoredObject, 'id'>>(
  'objects_add_reference',
  `update stored_objects o set ref_count = ref_count + 1, state = 'LIVE', pinned_until = null,
      last_verified_at = case when state = 'LIVE' then last_verified_at else $2::timestamptz end,
      scanned_by = $3, scanned_at = $2::timestamptz, variant_specs = $4, variants_reason = $5
    where id = $1 and (state in ('STAGING', 'LIVE') or state = 'CORRUPT' and exists (
      select from object_copies c where c.stored_object_id = o.id and c.version is not null))
    returning id`,
);

const KNOWN_INFECTED = statement<Pick<StoredObject, 'id'>>(
  'objects_known_infected',
  `select id from stored_objects where sha256 = $1 and state = 'QUARANTINED' limit 1`,
);

/** The mark clears the version, so that any copy recorded afterwards was made from verified bytes. The lock reads a version that changes now. */
const MARK_CORRUPT = statement<Pick<StoredObject, 'id'>>(
  'objects_mark_corrupt',
  `with damaged as (
      select o.id from stored_objects o join object_copies c on c.stored_object_id = o.id and c.location = '${PRIMARY}'
      where o.id = $1 and o.state in ('STAGING', 'LIVE') and c.version = $2 for update of o, c),
    marked as (
      update stored_objects o set state = 'CORRUPT', claimed_until = null from damaged d where o.id = d.id returning o.id)
    update object_copies c set version = null from marked m
    where c.stored_object_id = m.id and c.location = '${PRIMARY}' returning m.id`,
);

// Prisma would send the state as a parameter, which cannot use the partial index.
const UNFINISHED_QUARANTINES = statement<InfectedObject>(
  'quarantine_unfinished',
  `select o.id, o.sha256 from stored_objects o
    where o.state = 'QUARANTINED' and o.id > $2 and exists (select from object_copies c where c.stored_object_id = o.id)
    order by o.id limit $1`,
);

const LOCATIONS = statement<Location & { isVariant: boolean }>(
  'quarantine_places',
  `select bucket, key, version, false as "isVariant" from object_copies where stored_object_id = $1
    union all select bucket, key, version, true from object_variants where stored_object_id = $1`,
);

const FORGET_LOCATIONS = statement<never>(
  'quarantine_forget',
  `with variants as (delete from object_variants where stored_object_id = $1)
    delete from object_copies where stored_object_id = $1`,
);

/** An object without references and pins. */
export type Collectable = Pick<StoredObject, 'id' | 'pinnedUntil'>;

/**
 * A count that is too low, after a bug or a repair by hand, must not cost the bytes of an asset. A scalar subquery is an index probe for
 * each row; for `not exists` the planner may choose to hash all assets.
 */
const HAS_NO_ASSET =
  '(select true from media_assets a where a.stored_object_id = stored_objects.id limit 1) is null';

const COLLECTABLE_ROWS = `select id, pinned_until as "pinnedUntil" from stored_objects
      where ref_count = 0 and state in ('STAGING', 'LIVE', 'CORRUPT', 'DELETING') and ${HAS_NO_ASSET}`;

/** Two searches in the order of the index, whose nulls a row comparison does not know. */
export const COLLECTABLE = statement<Collectable>(
  'objects_collectable',
  `(${COLLECTABLE_ROWS} and pinned_until is null and $3::timestamptz is null and id > $4
      order by pinned_until nulls first, id limit $2)
    union all
    (${COLLECTABLE_ROWS} and pinned_until < $1
        and (pinned_until, id) > (coalesce($3, '-infinity'), case when $3 is null then 0 else $4 end)
      order by pinned_until, id limit $2)
    limit $2`,
);

/** One row without a bucket for an object whose copy has lost its row; its bytes are left to the task `collect-orphans`. */
const CONDEMN = statement<Location | { bucket: null }>(
  'objects_condemn',
  `with condemned as (
      update stored_objects set state = 'DELETING', pinned_until = $3
      where id = $1 and ref_count = 0 and state in ('STAGING', 'LIVE', 'CORRUPT', 'DELETING')
        and (pinned_until is null or pinned_until < $2)
        and ${HAS_NO_ASSET}
      returning id)
    select c.bucket, c.key, c.version from condemned d left join object_copies c on c.stored_object_id = d.id
    union all
    select v.bucket, v.key, v.version from condemned d join object_variants v on v.stored_object_id = d.id`,
);

const PUT_OFF = statement<never>(
  'objects_put_off',
  `with kept as (
      update stored_objects set state = $3::object_state, pinned_until = $4
      where id = $1 and state = 'DELETING' and pinned_until = $2
      returning id)
    delete from object_variants v using kept k where v.stored_object_id = k.id and v.key = any($5::text[])`,
);

const leased = ({ id, until }: DeletionLease) => ({ id, state: 'DELETING' as const, pinnedUntil: until });

/** Rows of stored objects and of their copies: staging, references, states, deletion. */
@Injectable()
export class StoredObjectsRepository {
  constructor(
    private readonly config: ContentConfig,
    private readonly database: Database,
    private readonly properties: FeaturePropertiesRepository,
  ) {}

  /**
   * Creates and pins the row before any byte is copied. @returns null while the object is being deleted or is quarantined; the caller
   * tries again later
   */
  async stage(content: Content, at: ObjectRef, now: Date): Promise<StagedObject | null> {
    const { scope, sha256, crc32c, sizeBytes } = content;
    const pinnedUntil = new Date(now.getTime() + PIN_MS);
    const values = [scope, sha256, crc32c, sizeBytes, pinnedUntil, now, at.bucket, at.key];
    return (await this.database.query(STAGE, values))[0] ?? null;
  }

  /**
   * Records the version of a new copy, or finds that a verification has. @param superseded the versions that it has replaced in storage
   * @returns false when another copy was recorded meanwhile, or the object is being deleted
   */
  async recordCopy(
    id: bigint,
    copy: { version: string; storageClass: string | null },
    superseded: readonly string[],
  ): Promise<boolean> {
    const rows = await this.database.query(RECORD_COPY, [id, copy.version, copy.storageClass, superseded]);
    return rows.length === 1;
  }

  /**
   * Adds a reference, in the transaction that points an asset here. A CORRUPT object with a new copy becomes LIVE.
   * @returns false when no asset may point at the object
   */
  async addReference(tx: Tx, id: bigint, facts: ObjectFacts): Promise<boolean> {
    const { now, scannedBy, variantSpecs, variantsReason } = facts;
    const values = [id, now, scannedBy, variantSpecs, variantsReason];
    if ((await this.database.query(ADD_REFERENCE, values, tx)).length === 0) return false;
    const { readBy, featureProperties = {} } = facts;
    if (readBy !== undefined) await this.properties.add(tx, id, featureProperties, readBy);
    return true;
  }

  /**
   * Removes references, in the transaction that takes the object from its assets.
   * @param keptFrom the start of the restore window, in which the object stays without references; null for no window
   */
  async removeReferences(tx: Tx, id: bigint, keptFrom: Date | null, count = 1): Promise<void> {
    const days = this.config.restoreWindowDays;
    const keptUntil = keptFrom === null || days === 0 ? null : new Date(keptFrom.getTime() + days * DAY_MS);
    await this.database.query(REMOVE_REFERENCES, [id, count, keptUntil], tx);
  }

  /** Whether a READY asset may point at the object. Locks the row until the transaction ends. */
  async isStored(tx: Tx, id: bigint): Promise<boolean> {
    const rows = await tx.$queryRaw<object[]>`
      select 1 from stored_objects where id = ${id} and state in ('LIVE', 'CORRUPT') for share`;
    return rows.length === 1;
  }

  /** Whether these bytes were found infected before, with any owner. */
  async isKnownInfected(sha256: string): Promise<boolean> {
    return (await this.database.query(KNOWN_INFECTED, [sha256])).length > 0;
  }

  /**
   * Stops serving an object whose bytes at this version are damaged. The next upload of the same bytes stores them again, for all
   * assets that share the object. @returns false when another version is recorded or the state has changed
   */
  async markCorrupt(id: bigint, version: string): Promise<boolean> {
    return (await this.database.query(MARK_CORRUPT, [id, version])).length === 1;
  }

  /** Marks an object as infected, so that no asset can point at it. @returns its id; null when there is none to mark */
  async markInfected(object: { id: bigint } | { scope: string; sha256: string }): Promise<bigint | null> {
    const [marked] = await this.database.read((prisma) =>
      prisma.storedObject.updateManyAndReturn({
        where: { ...object, state: { in: ['STAGING', 'LIVE'] } },
        data: { state: 'QUARANTINED', pinnedUntil: null, claimedUntil: null },
        select: { id: true },
      }),
    );
    return marked?.id ?? null;
  }

  /** Infected objects whose bytes have not been moved yet, in the order of their ids. */
  unfinishedQuarantines(after: bigint, limit: number): Promise<InfectedObject[]> {
    return this.database.query(UNFINISHED_QUARANTINES, [limit, after]);
  }

  async isQuarantined(id: bigint): Promise<boolean> {
    const where = { id, state: 'QUARANTINED' as const };
    return (await this.database.read((prisma) => prisma.storedObject.count({ where }))) > 0;
  }

  /** All copies and variants of an object. */
  locations(id: bigint): Promise<(Location & { isVariant: boolean })[]> {
    return this.database.query(LOCATIONS, [id]);
  }

  async forgetLocations(id: bigint): Promise<void> {
    await this.database.query(FORGET_LOCATIONS, [id]);
  }

  /** Objects without references and pins, after one of them; those whose deletion is due again come last. */
  collectable(now: Date, limit: number, after?: Collectable): Promise<Collectable[]> {
    return this.database.query(COLLECTABLE, [now, limit, after?.pinnedUntil ?? null, after?.id ?? 0n]);
  }

  /** Moves an object without references and pins to DELETING. @returns its copies and variants; null when it was not moved */
  async condemn({ id, until }: DeletionLease, now: Date): Promise<Location[] | null> {
    const rows = await this.database.query(CONDEMN, [id, now, until]);
    return rows.length === 0 ? null : rows.filter((row): row is Location => row.bucket !== null);
  }

  /** Whether the lease is still valid. */
  async isCondemned(lease: DeletionLease): Promise<boolean> {
    const where = leased(lease);
    return (await this.database.read((prisma) => prisma.storedObject.count({ where }))) > 0;
  }

  /** Ends the lease until the next attempt. @param deleted keys of the variants whose bytes are deleted */
  async putOff(
    { id, until }: DeletionLease,
    state: ObjectState,
    next: Date,
    deleted: readonly string[],
  ): Promise<void> {
    await this.database.query(PUT_OFF, [id, until, state, next, deleted]);
  }

  /** Deletes the row, with those of its copies and variants. */
  async drop(lease: DeletionLease): Promise<void> {
    await this.database.read((prisma) => prisma.storedObject.deleteMany({ where: leased(lease) }));
  }
}
