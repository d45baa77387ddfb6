import { Injectable } from '@nestjs/common';
import { columnsSql, Database, statement, type StoredObject, type Tx } from '#libs/database';
import type { FeatureProperties } from '#libs/domain';
import {
  CLAIM_MS,
  type ClaimedObject,
  claimedObjectOf,
  type ClaimedRow,
} from './object-maintenance.repository.js';

/** A stored object that was last read with other readers than the registered ones. */
export type UnreadObject = Pick<StoredObject, 'id'> & {
  /** The readers that read the object last; empty for none. */
  readonly readBy: string;
  /** Media types of its assets, without repetition. */
  readonly mediaTypes: readonly string[];
};

/** Objects that one search finds at most, and assets of one object whose media types count. */
const BATCH = 500;
const MAX_ASSETS = 100;

/** Newest first. Reads the few distinct values of `read_by` by a loose index scan, as the claims of maintenance do. */
export const FIND_UNREAD = statement<UnreadObject>(
  'properties_find_unread',
  `with recursive notes as (
      (select coalesce(read_by, '') as note from stored_objects where state = 'LIVE' order by coalesce(read_by, '') desc limit 1)
      union all
      select (select coalesce(read_by, '') from stored_objects
        where state = 'LIVE' and coalesce(read_by, '') < n.note order by coalesce(read_by, '') desc limit 1)
      from notes n where n.note is not null),
    due as (
      select o.id, n.note from notes n, lateral (
        select id from stored_objects
        where state = 'LIVE' and coalesce(read_by, '') = n.note and (claimed_until is null or claimed_until < $2)
        order by coalesce(read_by, '') desc, id desc limit ${BATCH}) o
      where n.note <> $1 order by o.id desc limit ${BATCH})
    select d.id, d.note as "readBy", array(
        select distinct mime_type from (
          select mime_type from media_assets where stored_object_id = d.id limit ${MAX_ASSETS}) a) as "mediaTypes"
    from due d order by d.id desc`,
);

const CLAIM = statement<ClaimedRow>(
  'properties_claim',
  `with claimed as (
      update stored_objects o set claimed_until = $4
      where id = $1 and state = 'LIVE' and coalesce(read_by, '') = $2 and (claimed_until is null or claimed_until < $3)
      returning ${columnsSql<StoredObject>('o', ['id', 'scope', 'sha256', 'sizeBytes'])})
    select o.*, c.bucket, c.key, c.version from claimed o
      join object_copies c on c.stored_object_id = o.id and c.version is not null order by c.location limit 1`,
);

/** Replaces the properties of the readers in $2, and removes those of the readers in $3. */
const MERGED = `nullif((coalesce(feature_properties, '{}') || $2::jsonb) - $3::text[], '{}')`;

/** With other assets, the object may wait for the readers of their media types. */
const ADD = statement<never>(
  'properties_add',
  `update stored_objects set feature_properties = ${MERGED}, read_by = case when ref_count = 1 then $4 else read_by end
    where id = $1`,
);

const RECORD = statement<never>(
  'properties_record',
  `update stored_objects set feature_properties = ${MERGED}, read_by = $4, claimed_until = null where id = $1`,
);

/** Leaves out objects that other statements have locked, which avoids deadlocks; a later search finds them again. */
const SKIP = statement<never>(
  'properties_skip',
  `update stored_objects set read_by = $2 where id in (
      select id from stored_objects where id = any($1::bigint[]) for no key update skip locked)`,
);

/** Readers without any property in this file have no entry. */
function mergeValues(id: bigint, found: FeatureProperties): unknown[] {
  const empty = Object.keys(found).filter((reader) => Object.keys(found[reader]!).length === 0);
  return [id, JSON.stringify(found), empty];
}

/** The properties that file readers of features found in stored objects. */
@Injectable()
export class FeaturePropertiesRepository {
  constructor(private readonly database: Database) {}

  /**
   * Replaces the properties of readers that have read the bytes for a new asset, whose reference is counted already. The others keep
   * theirs.
   * @param readBy the registered readers
   */
  async add(tx: Tx, id: bigint, found: FeatureProperties, readBy: string): Promise<void> {
    await tx.$executeRawUnsafe(ADD.text, ...mergeValues(id, found), readBy);
  }

  /** The newest objects, 500 at most, that were last read with other readers and that no worker has claimed. */
  findUnread(readBy: string, now: Date): Promise<UnreadObject[]> {
    return this.database.query(FIND_UNREAD, [readBy, now]);
  }

  /** Records that the registered readers give nothing new for these objects. */
  async skip(ids: readonly bigint[], readBy: string): Promise<void> {
    if (ids.length > 0) await this.database.query(SKIP, [ids, readBy]);
  }

  /** Claims an object for an hour. @returns null when another worker has claimed or read it */
  async claim({ id, readBy }: UnreadObject, now: Date): Promise<ClaimedObject | null> {
    const until = new Date(now.getTime() + CLAIM_MS);
    const [row] = await this.database.query(CLAIM, [id, readBy, now, until]);
    return row === undefined ? null : claimedObjectOf(row);
  }

  /** Ends the claim with the properties that were found. Readers that are not in `found` keep theirs. */
  async record(id: bigint, found: FeatureProperties, readBy: string): Promise<void> {
    await this.database.query(RECORD, [...mergeValues(id, found), readBy]);
  }
}
