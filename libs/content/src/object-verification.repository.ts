import { Injectable } from '@nestjs/common';
import { columnsSql, Database, type ObjectCopy, statement, type StoredObject } from '#libs/database';
import type { ObjectRef } from '#libs/domain';
import { PRIMARY } from './stored-objects.repository.js';

const COLUMNS = ['id', 'scope', 'sha256', 'crc32c', 'sizeBytes', 'state'] as const;

/** A LIVE or CORRUPT object and its copy row. Bucket and key are null if the row of the copy is lost. */
export type RecordedObject = Pick<StoredObject, (typeof COLUMNS)[number]> &
  ({ readonly [Name in keyof ObjectRef]: string | null } & Pick<ObjectCopy, 'version'>);

const FIND = statement<RecordedObject>(
  'verification_find',
  `select ${columnsSql<StoredObject>('o', COLUMNS)}, c.bucket, c.key, c.version from stored_objects o
      left join object_copies c on c.stored_object_id = o.id and c.location = '${PRIMARY}'
    where o.id = $1 and o.state in ('LIVE', 'CORRUPT')`,
);

// The lock orders these statements against collectors, quarantines and uploads.
const LOCKED = `select id from stored_objects where id = $1 and state in ('LIVE', 'CORRUPT') for share`;

const RECORD_VERSION = statement<Pick<ObjectCopy, 'version'>>(
  'verification_record_version',
  `with o as (${LOCKED})
    update object_copies c set version = $3, storage_class = $4 from o
    where c.stored_object_id = o.id and c.location = '${PRIMARY}' and c.version is not distinct from $2
    returning c.version`,
);

const RECORD_LOST_COPY = statement<Pick<ObjectCopy, 'version'>>(
  'verification_record_lost_copy',
  `with o as (${LOCKED})
    insert into object_copies (stored_object_id, location, bucket, key, version, storage_class)
    select id, '${PRIMARY}', $2, $3, $4, $5 from o on conflict do nothing returning version`,
);

/** The row of an object without a recorded version has no other guard than the absence of one, so it is locked first. */
const LOCK = statement<Pick<StoredObject, 'id'>>(
  'verification_lock',
  `select id from stored_objects where id = $1 and state = 'LIVE' for update`,
);

const MARK_LOST = statement<Pick<StoredObject, 'id'>>(
  'verification_mark_lost',
  `update stored_objects o set state = 'CORRUPT', claimed_until = null
    where id = $1 and state = 'LIVE' and not exists (
      select from object_copies c where c.stored_object_id = o.id and c.location = '${PRIMARY}' and c.version is not null)
    returning id`,
);

const RECORD_VERIFIED = statement<Pick<StoredObject, 'id'>>(
  'verification_record',
  `update stored_objects o set state = 'LIVE', last_verified_at = $3, size_bytes = $4, crc32c = $5
    where id = $1 and state in ('LIVE', 'CORRUPT') and exists (
      select from object_copies c where c.stored_object_id = o.id and c.location = '${PRIMARY}' and c.version = $2)
    returning id`,
);

/** Rows of stored objects and of their copies, for the comparison with the objects in storage. */
@Injectable()
export class ObjectVerificationRepository {
  constructor(private readonly database: Database) {}

  /** @returns null if the object does not exist or is neither LIVE nor CORRUPT */
  async find(id: bigint): Promise<RecordedObject | null> {
    return (await this.database.query(FIND, [id]))[0] ?? null;
  }

  /** Records the version of verified bytes in place of `recorded`. @returns false if the row has changed */
  async recordVersion(
    id: bigint,
    recorded: string | null,
    { version, storageClass }: FoundVersion,
  ): Promise<boolean> {
    const values = [id, recorded, version, storageClass];
    return (await this.database.query(RECORD_VERSION, values)).length === 1;
  }

  /** Inserts the lost row of a copy. @returns false if the object has a copy again, or another state */
  async recordLostCopy(
    id: bigint,
    { bucket, key }: ObjectRef,
    { version, storageClass }: FoundVersion,
  ): Promise<boolean> {
    const values = [id, bucket, key, version, storageClass];
    return (await this.database.query(RECORD_LOST_COPY, values)).length === 1;
  }

  /** Marks an object without a recorded version as CORRUPT. @returns false if the object has one, or is not LIVE any more */
  markLost(id: bigint): Promise<boolean> {
    return this.database.transaction(async (tx) => {
      if ((await this.database.query(LOCK, [id], tx)).length === 0) return false;
      return (await this.database.query(MARK_LOST, [id], tx)).length === 1;
    });
  }

  /** Records that the bytes at this version were read and have the recorded hash; the object is LIVE then. @returns false if the row has changed */
  async recordVerified(
    id: bigint,
    version: string,
    { sizeBytes, crc32c }: { readonly sizeBytes: number; readonly crc32c: string },
    now: Date,
  ): Promise<boolean> {
    return (await this.database.query(RECORD_VERIFIED, [id, version, now, sizeBytes, crc32c])).length === 1;
  }
}

/** A version whose bytes are verified. */
interface FoundVersion {
  readonly version: string;
  readonly storageClass: string | null;
}
