import { Injectable } from '@nestjs/common';
import { columnsSql, Database, statement, type StoredObject } from '#libs/database';
import type { ObjectVersion } from '#libs/domain';

/** Lease of a claimed object: afterwards another worker may claim it. */
export const CLAIM_MS = 60 * 60_000;

type ClaimedColumns = Pick<StoredObject, 'id' | 'scope' | 'sha256' | 'sizeBytes'>;
export type ClaimedRow = ClaimedColumns & ObjectVersion;

/** A stored object that this worker has claimed. */
export interface ClaimedObject extends Omit<ClaimedColumns, 'sizeBytes'> {
  readonly sizeBytes: number;
  readonly location: ObjectVersion;
}

export const claimedObjectOf = ({
  bucket,
  key,
  version,
  sizeBytes,
  ...object
}: ClaimedRow): ClaimedObject => ({
  ...object,
  sizeBytes: Number(sizeBytes),
  location: { bucket, key, version },
});

/**
 * The newest objects below the id $1 whose recorded value is none of $2 and that no worker has claimed at $3. Recursive loose index scan: the few distinct values cost one index
 * probe each. A plain search, which mostly finds no object, would read the whole table at each tick.
 */
const DUE = (note: string, condition: string, limit: string, lock = '') => `with recursive notes as (
      (select ${note} as note from stored_objects where ${condition} order by ${note} desc limit 1)
      union all
      select (select ${note} from stored_objects where ${condition} and ${note} < n.note order by ${note} desc limit 1)
      from notes n where n.note is not null),
    next as (
      select o.id from notes n, lateral (
        select id from stored_objects
        where ${condition} and (${note}, id) >= (n.note, 0) and (${note}, id) < (n.note, $1::bigint)
          and (claimed_until is null or claimed_until < $3)
        order by ${note} desc, id desc limit ${limit} ${lock}) o
      where n.note <> all($2::text[]) order by o.id desc limit ${limit})`;

/** Claims the newest object. */
const CLAIM = (name: string, note: string, condition: string) =>
  statement<ClaimedRow>(
    name,
    `${DUE(note, condition, '1', 'for update skip locked')},
    claimed as (
      update stored_objects o set claimed_until = $4 from next n where o.id = n.id
      returning ${columnsSql<StoredObject>('o', ['id', 'scope', 'sha256', 'sizeBytes'])})
    select o.*, c.bucket, c.key, c.version from claimed o
      join object_copies c on c.stored_object_id = o.id and c.version is not null order by c.location limit 1`,
  );

export const CLAIMS = {
  scan: CLAIM('upkeep_claim_scan', "coalesce(scanned_by, '')", `state = 'LIVE'`),
  variants: CLAIM('upkeep_claim_variants', 'variant_specs', `state = 'LIVE' and variant_specs is not null`),
};

const PEEK = (name: string, note: string, condition: string) =>
  statement<Pick<StoredObject, 'id'>>(name, `${DUE(note, condition, '$4')} select id from next`);

export const PEEKS = {
  scan: PEEK('upkeep_peek_scan', "coalesce(scanned_by, '')", `state = 'LIVE'`),
  variants: PEEK('upkeep_peek_variants', 'variant_specs', `state = 'LIVE' and variant_specs is not null`),
};

const MAX_ID = 2n ** 63n - 1n;

/** Claims stored objects for repeated tasks, newest first, each for one worker at a time. */
@Injectable()
export class ObjectMaintenanceRepository {
  constructor(private readonly database: Database) {}

  /**
   * Claims the newest object with an id below `before` whose recorded value is none of `current`: the scanner's label for `scan`, the
   * specifications of its variants for `variants`. @returns null when there is none
   */
  async claim(
    task: keyof typeof CLAIMS,
    current: readonly string[],
    before: bigint | null,
    now: Date,
  ): Promise<ClaimedObject | null> {
    const until = new Date(now.getTime() + CLAIM_MS);
    const values = [before ?? MAX_ID, current, now, until];
    const [row] = await this.database.query(CLAIMS[task], values);
    return row === undefined ? null : claimedObjectOf(row);
  }

  /** The objects that {@link claim} would claim, newest first and `limit` at most. */
  peek(
    task: keyof typeof PEEKS,
    current: readonly string[],
    before: bigint | undefined,
    now: Date,
    limit: number,
  ): Promise<Pick<StoredObject, 'id'>[]> {
    return this.database.query(PEEKS[task], [before ?? MAX_ID, current, now, limit]);
  }

  /** Records a scan that has read all bytes and found their hash right. */
  async recordScan(id: bigint, scannedBy: string, now: Date): Promise<void> {
    const data = { scannedBy, scannedAt: now, lastVerifiedAt: now, claimedUntil: null };
    await this.database.read((prisma) => prisma.storedObject.updateMany({ where: { id }, data }));
  }
}
