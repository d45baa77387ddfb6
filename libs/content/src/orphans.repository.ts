import { Injectable } from '@nestjs/common';
import { Database, type ObjectState, statement, type StoredObject } from '#libs/database';
import { type ContentRef, type ObjectRef, OCTET_STREAM } from '#libs/domain';
import type { ObjectStat } from '#libs/storage';
import type { DeletionLease } from './stored-objects.repository.js';

/** The row of a copy or variant, with the properties that its object must have. */
export interface ContentRow {
  readonly key: string;
  readonly storedObjectId: bigint;
  readonly state: ObjectState;
  /** Null for a copy. */
  readonly spec: string | null;
  /** Null until the object is written. */
  readonly version: string | null;
  readonly sizeBytes: bigint;
  /** Null for a variant. */
  readonly crc32c: string | null;
  readonly contentType: string;
  /** Until when a worker scans the object or builds its variants. */
  readonly claimedUntil: Date | null;
}

const COPIES = `select c.key collate "C" as key, o.id as "storedObjectId", o.state, null::varchar as spec, c.version,
    o.size_bytes as "sizeBytes", o.crc32c::text as crc32c, '${OCTET_STREAM}' as "contentType", o.claimed_until as "claimedUntil"
  from object_copies c join stored_objects o on o.id = c.stored_object_id`;
const VARIANTS = `select v.key collate "C" as key, o.id as "storedObjectId", o.state, v.spec, v.version,
    v.size_bytes::bigint as "sizeBytes", null::text as crc32c, v.mime_type as "contentType", o.claimed_until as "claimedUntil"
  from object_variants v join stored_objects o on o.id = v.stored_object_id`;

export const RECORDED_PAGE = statement<ContentRow>(
  'orphans_recorded_page',
  `(${COPIES} where c.bucket = $1 and c.key collate "C" > $2 order by c.key collate "C" limit $3)
    union all (${VARIANTS} where v.bucket = $1 and v.key collate "C" > $2 order by v.key collate "C" limit $3)
    order by key limit $3`,
);

export const RECORDED = statement<ContentRow>(
  'orphans_recorded',
  `${COPIES} where c.bucket = $1 and c.key collate "C" = $2
    union all ${VARIANTS} where v.bucket = $1 and v.key collate "C" = $2`,
);

/** Quarantined bytes belong in another bucket, and their row refuses all uploads. */
export const UNRECORDED = statement<{ readonly key: string }>(
  'orphans_unrecorded',
  `select k.key from unnest($2::text[], $3::text[], $4::text[]) as k (key, scope, sha256)
    where not exists (select from object_copies c where c.bucket = $1 and c.key collate "C" = k.key)
      and not exists (select from object_variants v where v.bucket = $1 and v.key collate "C" = k.key)
      and not exists (
        select from stored_objects o where o.scope = k.scope and o.sha256 = k.sha256::char(64) and o.state <> 'QUARANTINED')`,
);

/**
 * Any row of these bytes makes the insert do nothing. The copy has no version, so that bytes which could not be deleted are not
 * trusted by the next upload.
 */
const ADOPT = statement<Pick<StoredObject, 'id'>>(
  'orphans_adopt',
  `with adopted as (
      insert into stored_objects (scope, sha256, crc32c, size_bytes, state, pinned_until, created_at)
      values ($1, $2, $3, $4, 'DELETING', $5, $6) on conflict (scope, sha256) do nothing
      returning id)
    insert into object_copies (stored_object_id, location, bucket, key) select id, 'primary', $7, $8 from adopted
    returning stored_object_id as id`,
);

/** Another text than the configured one makes the task of variants build the missing ones. */
const FORGET_VARIANT = statement<{ readonly spec: string }>(
  'orphans_forget_variant',
  `with o as (
      update stored_objects set variant_specs = ''
      where id = $1 and state = 'LIVE' and (claimed_until is null or claimed_until < $4)
        and exists (select from object_variants v where v.stored_object_id = $1 and v.spec = $2 and v.version = $3)
      returning id)
    delete from object_variants v using o where v.stored_object_id = o.id and v.spec = $2 and v.version = $3
    returning v.spec`,
);

interface ObjectsPage {
  /** Null at the end. */
  readonly last: bigint | null;
  readonly examined: number;
  /** Ids of objects that are LIVE and have no copy. */
  readonly lost: string[];
}

export const WITHOUT_COPY = statement<ObjectsPage>(
  'orphans_without_copy',
  `with page as (select id, state from stored_objects where id > $1 order by id limit $2),
    checked as (
      select id, state = 'LIVE' and not exists (select from object_copies c where c.stored_object_id = p.id) as is_lost from page p)
    select max(id) as last, count(*)::int as examined,
      coalesce(array_agg(id::text order by id) filter (where is_lost), '{}') as lost
    from checked`,
);

const IS_WITHOUT_COPY = statement<object>(
  'orphans_is_without_copy',
  `select from stored_objects o where o.id = $1 and o.state = 'LIVE'
    and not exists (select from object_copies c where c.stored_object_id = o.id)`,
);

/** A content object without a row: the bytes that its key names. */
export type UnrecordedObject = ObjectStat & ContentRef;

/** Compares rows of stored objects with the objects of the content bucket. */
@Injectable()
export class OrphansRepository {
  constructor(private readonly database: Database) {}

  /** Copies and variants after a key, in the order in which stores list keys. */
  recordedPage(bucket: string, after: string, limit: number): Promise<ContentRow[]> {
    return this.database.query(RECORDED_PAGE, [bucket, after, limit]);
  }

  async recorded({ bucket, key }: ObjectRef): Promise<ContentRow | null> {
    return (await this.database.query(RECORDED, [bucket, key]))[0] ?? null;
  }

  /** The keys that have no row, and whose content no other row describes. @param content null for variants */
  async unrecorded(
    bucket: string,
    keys: readonly { readonly key: string; readonly content: ContentRef | null }[],
  ): Promise<ReadonlySet<string>> {
    const values = [
      bucket,
      keys.map(({ key }) => key),
      keys.map(({ content }) => content?.scope ?? null),
      keys.map(({ content }) => content?.sha256 ?? null),
    ];
    return new Set((await this.database.query(UNRECORDED, values)).map(({ key }) => key));
  }

  /** Creates a row in DELETING for bytes without a row, so that no upload can share them. @returns null if there is a row */
  async adopt(
    { scope, sha256, bucket, key, crc32c, sizeBytes }: UnrecordedObject,
    until: Date,
    now: Date,
  ): Promise<DeletionLease | null> {
    const values = [scope, sha256, crc32c ?? '', sizeBytes, until, now, bucket, key];
    const [row] = await this.database.query(ADOPT, values);
    return row === undefined ? null : { id: row.id, until };
  }

  /** Removes the row of a variant at this version, and lets it be built again. @returns false if the row has changed */
  async forgetVariant({ storedObjectId, spec, version }: ContentRow, now: Date): Promise<boolean> {
    return (await this.database.query(FORGET_VARIANT, [storedObjectId, spec, version, now])).length > 0;
  }

  /** The next stored objects after an id. */
  async withoutCopy(after: bigint, limit: number): Promise<ObjectsPage> {
    return (await this.database.query(WITHOUT_COPY, [after, limit]))[0]!;
  }

  async isWithoutCopy(id: bigint): Promise<boolean> {
    return (await this.database.query(IS_WITHOUT_COPY, [id])).length > 0;
  }
}
