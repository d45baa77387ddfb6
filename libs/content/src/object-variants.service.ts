import { Injectable } from '@nestjs/common';
import { Database, type Statement } from '#libs/database';
import {
  type ObjectRef,
  type ObjectVersion,
  specOf,
  specsOf,
  type VariantProfile,
  type VariantsReason,
} from '#libs/domain';
import { ObjectStore } from '#libs/storage';

/** A variant whose bytes may not be stored yet. */
export interface NewVariant extends ObjectRef {
  readonly spec: string;
  readonly name: string;
  readonly mimeType: string;
  readonly width: number;
  readonly height: number;
  readonly sizeBytes: number;
}

const EXISTING: Statement<{ spec: string; name: string; bucket: string; key: string; version: string }> = {
  name: 'variants_made',
  text: `select v.spec, v.name, v.bucket, v.key, v.version from stored_objects o join object_variants v on v.stored_object_id = o.id
    where o.scope = $1 and o.sha256 = $2 and o.state in ('STAGING', 'LIVE') and v.version is not null`,
};

const STAGE: Statement<{ version: string | null }> = {
  name: 'variants_stage',
  text: `insert into object_variants as v (stored_object_id, spec, name, mime_type, width, height, size_bytes, bucket, key, created_at)
    select id, $2, $3, $4, $5, $6, $7, $8, $9, $10 from stored_objects where id = $1 and state in ('STAGING', 'LIVE')
    on conflict (stored_object_id, spec) do update set name = excluded.name
    returning version`,
};

const RECORD: Statement<{ spec: string }> = {
  name: 'variants_record',
  text: `with o as (select id from stored_objects where id = $1 and state in ('STAGING', 'LIVE') for share)
    update object_variants v set version = $3, size_bytes = $4, width = $5, height = $6 from o
    where v.stored_object_id = o.id and v.spec = $2 and (v.version is null or v.version = any($7::text[]))
    returning v.spec`,
};

const SUPERSEDED: Statement<{ spec: string; bucket: string; key: string; version: string | null }> = {
  name: 'variants_superseded',
  text: `select spec, bucket, key, version from object_variants
    where stored_object_id = $1 and not spec = any($2::text[])`,
};

const RENAME: Statement<never> = {
  name: 'variants_rename',
  text: `update object_variants v set name = p.name from unnest($2::text[], $3::text[]) as p(spec, name)
    where v.stored_object_id = $1 and v.spec = p.spec and v.name <> p.name`,
};

const DROP: Statement<never> = {
  name: 'variants_drop',
  text: `delete from object_variants where stored_object_id = $1 and spec = $2`,
};

const SPECS: Statement<never> = {
  name: 'variants_specs',
  text: `update stored_objects o set variant_specs = $2, claimed_until = null, variants_reason =
      case when exists (select from object_variants where stored_object_id = o.id) then null
      else coalesce($3, o.variants_reason) end
    where id = $1`,
};

/** Smaller renditions of stored pictures. They are deleted with the object that they were made from. */
@Injectable()
export class ObjectVariantsService {
  constructor(
    private readonly database: Database,
    private readonly store: ObjectStore,
  ) {}

  /**
   * Specifications, with their names, of the variants that both the rows and storage have at the same version: a worker that died
   * between writing a variant and recording it left a row with the version before.
   */
  async existing(scope: string, sha256: string, signal?: AbortSignal): Promise<Map<string, string>> {
    const rows = await this.database.query(EXISTING, [scope, sha256]);
    const stats = await Promise.all(
      rows.map(({ bucket, key }) => this.store.stat({ bucket, key }, { signal })),
    );
    const found = rows.filter(({ version }, at) => stats[at]?.version === version);
    return new Map(found.map(({ spec, name }) => [spec, name]));
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

  /** Keeps exactly the variants of these profiles, under their present names: deletes the others and records the specifications. */
  async keepOnly(objectId: bigint, profiles: readonly VariantProfile[]): Promise<void> {
    const specs = profiles.map(specOf);
    for (const { spec, bucket, key, version } of await this.database.query(SUPERSEDED, [objectId, specs])) {
      await this.discard({ bucket, key }, version);
      await this.database.query(DROP, [objectId, spec]);
    }
    await this.database.query(RENAME, [objectId, specs, profiles.map(({ name }) => name)]);
    await this.recordSpecs(objectId, specsOf(profiles), null);
  }

  /**
   * Records the profiles for which variants were made or tried, and the reason when there are none. Without a `reason` the recorded
   * one stays; an object with variants has none.
   */
  async recordSpecs(objectId: bigint, specs: string, reason: VariantsReason | null): Promise<void> {
    await this.database.query(SPECS, [objectId, specs, reason]);
  }

  private async discard(at: ObjectRef, version: string | null): Promise<void> {
    const found: ObjectVersion | null = version === null ? await this.store.stat(at) : { ...at, version };
    if (found !== null) await this.store.delete(found);
  }
}
