import { Injectable } from '@nestjs/common';
import { Database, type ObjectVariant, statement } from '#libs/database';
import type { ObjectVersion, VariantsReason } from '#libs/domain';

/** A variant whose bytes may not be stored yet. */
export type NewVariant = Omit<ObjectVariant, 'storedObjectId' | 'version' | 'createdAt'>;

type RecordedVariant = Pick<ObjectVariant, 'spec' | 'name'> & ObjectVersion;

/** States in which an object has variants. An upload stores the variants of a CORRUPT object before its reference makes the object LIVE. */
const HAS_VARIANTS = `'STAGING', 'LIVE', 'CORRUPT'`;

const RECORDED = statement<RecordedVariant>(
  'variants_made',
  `select v.spec, v.name, v.bucket, v.key, v.version from stored_objects o join object_variants v on v.stored_object_id = o.id
    where o.scope = $1 and o.sha256 = $2 and o.state in (${HAS_VARIANTS}) and v.version is not null`,
);

const STAGE = statement<Pick<ObjectVariant, 'version'>>(
  'variants_stage',
  `insert into object_variants as v (stored_object_id, spec, name, mime_type, width, height, size_bytes, bucket, key, created_at)
    select id, $2, $3, $4, $5, $6, $7, $8, $9, $10 from stored_objects where id = $1 and state in (${HAS_VARIANTS})
    on conflict (stored_object_id, spec) do update set name = excluded.name
    returning version`,
);

const RECORD = statement<Pick<ObjectVariant, 'spec'>>(
  'variants_record',
  `with o as (select id from stored_objects where id = $1 and state in (${HAS_VARIANTS}) for share)
    update object_variants v set version = $3, size_bytes = $4, width = $5, height = $6 from o
    where v.stored_object_id = o.id and v.spec = $2 and (v.version is null or v.version = any($7::text[]))
    returning v.spec`,
);

const RECORD_SPECS = statement<never>(
  'variants_specs',
  `update stored_objects o set variant_specs = $2, claimed_until = null, variants_reason =
      case when exists (select from object_variants where stored_object_id = o.id) then null
      else coalesce($3, o.variants_reason) end
    where id = $1`,
);

/** Rows of the variants of stored pictures. They are deleted with the object that the variants were made from. */
@Injectable()
export class ObjectVariantsRepository {
  constructor(private readonly database: Database) {}

  /** Variants with a recorded version. */
  recorded(scope: string, sha256: string): Promise<RecordedVariant[]> {
    return this.database.query(RECORDED, [scope, sha256]);
  }

  /**
   * Creates the row before the bytes are written. @returns the recorded version, null for none, undefined when the object does not
   * exist or may not get variants
   */
  async stage(objectId: bigint, variant: NewVariant, now: Date): Promise<string | null | undefined> {
    const { spec, name, mimeType, width, height, sizeBytes, bucket, key } = variant;
    const values = [objectId, spec, name, mimeType, width, height, sizeBytes, bucket, key, now];
    return (await this.database.query(STAGE, values))[0]?.version;
  }

  /**
   * Records a version that replaced those in `superseded`. @returns false when another version is recorded, or the object is deleted
   * or being deleted
   */
  async record(
    objectId: bigint,
    { spec, sizeBytes, width, height }: NewVariant,
    version: string,
    superseded: readonly string[],
  ): Promise<boolean> {
    const values = [objectId, spec, version, sizeBytes, width, height, superseded];
    return (await this.database.query(RECORD, values)).length === 1;
  }

  /** Variants of an object with other specifications than these. */
  others(objectId: bigint, specs: string[]): Promise<ObjectVariant[]> {
    const where = { storedObjectId: objectId, spec: { notIn: specs } };
    return this.database.read((prisma) => prisma.objectVariant.findMany({ where }));
  }

  async rename(objectId: bigint, spec: string, name: string): Promise<void> {
    const where = { storedObjectId: objectId, spec, name: { not: name } };
    await this.database.read((prisma) => prisma.objectVariant.updateMany({ where, data: { name } }));
  }

  async drop(objectId: bigint, spec: string): Promise<void> {
    const where = { storedObjectId: objectId, spec };
    await this.database.read((prisma) => prisma.objectVariant.deleteMany({ where }));
  }

  /**
   * Records the specifications for which variants were made or tried, and the reason when there are none. Without a `reason` the
   * recorded one stays; an object with variants has none.
   */
  async recordSpecs(objectId: bigint, specs: string, reason: VariantsReason | null): Promise<void> {
    await this.database.query(RECORD_SPECS, [objectId, specs, reason]);
  }
}
