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

/** Reads the few distinct values of `read_by` by a loose index scan, as the claims of maintenance do. */
export const LIST_NOTES = statement<{ readonly note: string }>(
  'properties_list_notes',
  `with recursive notes as (
      (select coalesce(read_by, '') as note from stored_objects where state = 'LIVE' order by coalesce(read_by, '') desc limit 1)
      union all
      select (select coalesce(read_by, '') from stored_objects
        where state = 'LIVE' and coalesce(read_by, '') < n.note order by coalesce(read_by, '') desc limit 1)
      from notes n where n.note is not null)
    select note from notes where note is not null`,
);

export const FIND_READ_BY = statement<UnreadObject>(
  'properties_find_read_by',
  `with due as (
      select o.id, n.note from unnest($1::text[]) n(note), lateral (
        select id from stored_objects
        where state = 'LIVE' and coalesce(read_by, '') = n.note and id < $3 and (claimed_until is null or claimed_until < $2)
        order by coalesce(read_by, '') desc, id desc limit ${BATCH}) o
      order by o.id desc limit ${BATCH})
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

/**
 * With other assets, the object may wait for the readers of their media types, and may have been read by later revisions,
 * whose properties stay.
 */
const ADD = statement<never>(
  'properties_add',
  `update stored_objects set
      feature_properties = case when ref_count = 1 then ${MERGED}
        else nullif(($2::jsonb - $3::text[]) || coalesce(feature_properties, '{}'), '{}') end,
      read_by = case when ref_count = 1 then $4 else read_by end
    where id = $1`,
);

const RECORD = statement<never>(
  'properties_record',
  `update stored_objects set feature_properties = ${MERGED}, read_by = $4, claimed_until = null where id = $1`,
);

/** Leaves out objects that other statements have locked, which avoids deadlocks; a later search finds them again. */
const SKIP = statement<never>(
  'properties_skip',
  `update stored_objects o set read_by = l.after from (
      select id, n.after from unnest($1::bigint[], $2::text[], $3::text[]) n(id, before, after) join stored_objects using (id)
      where coalesce(read_by, '') = n.before for no key update of stored_objects skip locked) l
    where o.id = l.id`,
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
   * Adds the properties of readers that have read the bytes for a new asset, whose reference is counted already. They replace
   * older ones if the object has no other assets.
   * @param readBy the registered readers
   */
  async add(tx: Tx, id: bigint, found: FeatureProperties, readBy: string): Promise<void> {
    await tx.$executeRawUnsafe(ADD.text, ...mergeValues(id, found), readBy);
  }

  /** The distinct notes of the readers that have read objects last. Few: one for each set of readers of the past. */
  async listNotes(): Promise<string[]> {
    const rows = await this.database.query(LIST_NOTES, []);
    return rows.map(({ note }) => note);
  }

  /** The newest objects below an id, 500 at most, with one of these notes and without the claim of a worker. */
  findReadBy(notes: readonly string[], now: Date, before = 2n ** 63n - 1n): Promise<UnreadObject[]> {
    return this.database.query(FIND_READ_BY, [notes, now, before]);
  }

  /** Replaces the notes of objects for which the registered readers give nothing new. */
  async skip(objects: readonly UnreadObject[], labelAfter: (readBy: string) => string): Promise<void> {
    if (objects.length === 0) return;
    const notes = objects.map(({ readBy }) => readBy);
    await this.database.query(SKIP, [objects.map(({ id }) => id), notes, notes.map(labelAfter)]);
  }

  /** Claims an object for an hour. @returns null when another worker has claimed or read it */
  async claim({ id, readBy }: UnreadObject, now: Date): Promise<ClaimedObject | null> {
    const until = new Date(now.getTime() + CLAIM_MS);
    const [row] = await this.database.query(CLAIM, [id, readBy, now, until]);
    return row === undefined ? null : claimedObjectOf(row);
  }

  /** Ends the claim with the properties that were found. Readers that are not in `found` keep theirs. @param readBy the new note */
  async record(id: bigint, found: FeatureProperties, readBy: string): Promise<void> {
    await this.database.query(RECORD, [...mergeValues(id, found), readBy]);
  }
}
