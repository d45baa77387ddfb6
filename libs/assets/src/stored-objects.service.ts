import { Injectable } from '@nestjs/common';
import { Clock, Database, type Statement, type Tx } from '#libs/database';
import { kindOf, type ObjectRef, type VariantsReason } from '#libs/domain';
import { ObjectStore } from '#libs/storage';

/** The one location there is; more are added beside it. */
const PRIMARY = 'primary';
/** How long a pin protects bytes that are being copied from the collector. */
const PIN_MS = 60 * 60_000;
/** How long a collector has an object, and the part of it in which it asks storage: nothing is under way when another has it. */
const COLLECT_MS = 10 * 60_000;
const DELETE_MS = COLLECT_MS / 2;
/** When an object comes up again that storage did not delete: it was asked in vain, or it said no. */
const UNANSWERED_MS = 60_000;
const REFUSED_MS = 60 * 60_000;

export interface Content {
  /** Who shares identical bytes: empty for everybody. */
  readonly scope: string;
  readonly sha256: string;
  readonly crc32c: string;
  readonly sizeBytes: number;
}

/** A stored object that may be pointed at once its bytes are there. */
export interface StagedObject {
  readonly id: bigint;
  /** The version at which the bytes are known to be; null when no copy was recorded. */
  readonly version: string | null;
}

/** What is known of the bytes when an asset begins to point at them. */
export interface ObjectFacts {
  /** Who looked for malware in them last: others look again. What they found is the asset's to say. */
  readonly scannedBy: string;
  /** The specifications of their variants, made or tried; null for bytes that get none. */
  readonly variantSpecs: string | null;
  /** Why a picture has no variants; null when it has them, and for other files. */
  readonly variantsReason: VariantsReason | null;
  readonly now: Date;
}

interface StagedRow {
  id: string;
  version: string | null;
}

interface Place extends ObjectRef {
  readonly version: string | null;
}

const STAGE: Statement<StagedRow> = {
  name: 'objects_stage',
  text: `with staged as (
      insert into stored_objects as o (scope, sha256, crc32c, size_bytes, state, pinned_until, created_at)
      values ($1, $2, $3, $4, 'STAGING', $5, $6)
      on conflict (scope, sha256) do update set pinned_until = greatest(o.pinned_until, excluded.pinned_until)
        where o.state in ('STAGING', 'LIVE', 'CORRUPT')
      returning id),
    located as (
      insert into object_copies (stored_object_id, location, bucket, key)
      select id, '${PRIMARY}', $7, $8 from staged on conflict do nothing)
    select s.id, c.version from staged s
      left join object_copies c on c.stored_object_id = s.id and c.location = '${PRIMARY}'`,
};

const RECORD_COPY: Statement<StagedRow> = {
  name: 'objects_record_copy',
  // Locked: whoever takes the object away afterwards sees the version, and whoever has begun to does not get a new one.
  text: `with o as (select id from stored_objects where id = $1 and state in ('STAGING', 'LIVE', 'CORRUPT') for share)
    update object_copies c set version = $2, storage_class = $3 from o
    where c.stored_object_id = o.id and c.location = '${PRIMARY}' and (c.version is null or c.version = any($4::text[]))
    returning o.id, c.version`,
};

export const COLLECTABLE: Statement<{ id: string }> = {
  name: 'objects_collectable',
  text: `select id from stored_objects
    where ref_count = 0 and state in ('STAGING', 'LIVE', 'CORRUPT', 'DELETING') and (pinned_until is null or pinned_until < $1)
    order by pinned_until nulls first, id limit $2`,
};

const CONDEMN: Statement<Place> = {
  name: 'objects_condemn',
  text: `with condemned as (
      update stored_objects set state = 'DELETING', pinned_until = $3
      where id = $1 and ref_count = 0 and state in ('STAGING', 'LIVE', 'CORRUPT', 'DELETING')
        and (pinned_until is null or pinned_until < $2)
      returning id)
    select c.bucket, c.key, c.version from condemned d join object_copies c on c.stored_object_id = d.id
    union all
    select v.bucket, v.key, v.version from condemned d join object_variants v on v.stored_object_id = d.id`,
};

/** The version is forgotten with the mark: a copy that is recorded afterwards was made from verified bytes. */
const MARK_CORRUPT: Statement<{ id: string }> = {
  name: 'objects_mark_corrupt',
  text: `with marked as (
      update stored_objects o set state = 'CORRUPT', claimed_until = null
      where id = $1 and state in ('STAGING', 'LIVE') and exists (
        select from object_copies c where c.stored_object_id = o.id and c.location = '${PRIMARY}' and c.version = $2)
      returning id)
    update object_copies c set version = null from marked m
    where c.stored_object_id = m.id and c.location = '${PRIMARY}' and c.version = $2 returning m.id`,
};

const QUARANTINED: Statement<{ id: string }> = {
  name: 'objects_quarantined',
  text: `select id from stored_objects where id = $1 and state = 'QUARANTINED'`,
};

const KNOWN_INFECTED: Statement<{ id: string }> = {
  name: 'objects_known_infected',
  text: `select id from stored_objects where sha256 = $1 and state = 'QUARANTINED' limit 1`,
};

const CONDEMNED: Statement<{ id: string }> = {
  name: 'objects_condemned',
  text: `select id from stored_objects where id = $1 and state = 'DELETING' and pinned_until = $2`,
};

const DROP: Statement<never> = {
  name: 'objects_drop',
  text: `delete from stored_objects where id = $1 and state = 'DELETING' and pinned_until = $2`,
};

const PUT_OFF: Statement<never> = {
  name: 'objects_put_off',
  text: `with kept as (
      update stored_objects set state = $3::object_state, pinned_until = $4
      where id = $1 and state = 'DELETING' and pinned_until = $2
      returning id)
    delete from object_variants v using kept k where v.stored_object_id = k.id and v.key = any($5::text[])`,
};

/** Bytes that any number of assets share, and the count of those that do. */
@Injectable()
export class StoredObjectsService {
  constructor(
    private readonly database: Database,
    private readonly store: ObjectStore,
    private readonly clock: Clock,
  ) {}

  /**
   * Makes sure that a row stands before any byte is copied, and pins it. Null while an object of this name is being
   * deleted or must not be used: come back later.
   */
  async stage(content: Content, at: ObjectRef, now: Date): Promise<StagedObject | null> {
    const [row] = await this.database.query(STAGE, [
      content.scope,
      content.sha256,
      content.crc32c,
      content.sizeBytes,
      new Date(now.getTime() + PIN_MS),
      now,
      at.bucket,
      at.key,
    ]);
    return row === undefined ? null : { id: BigInt(row.id), version: row.version };
  }

  /** Whether these bytes were found infected before, whoever had them. */
  async isKnownInfected(sha256: string): Promise<boolean> {
    return (await this.database.query(KNOWN_INFECTED, [sha256])).length > 0;
  }

  async isQuarantined(id: bigint): Promise<boolean> {
    return (await this.database.query(QUARANTINED, [id])).length > 0;
  }

  /**
   * Notes the version of a copy just made. `superseded` are the versions that it certainly replaced; false when
   * another's copy was recorded meanwhile, which is then the one that counts, or the object is being taken away.
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
   * Stops serving an object whose bytes at this version are not the ones that were stored. The next upload of the same bytes
   * stores them anew, for all assets that share the object. False when the object has another copy by now, or another state.
   */
  async markCorrupt(id: bigint, version: string): Promise<boolean> {
    return (await this.database.query(MARK_CORRUPT, [id, version])).length === 1;
  }

  /**
   * Counts an asset in, in the transaction that points it here; a corrupt object whose bytes were stored anew is LIVE from then
   * on. False when the object is not one to point at.
   */
  async addReference(tx: Tx, id: bigint, facts: ObjectFacts): Promise<boolean> {
    const { count } = await tx.storedObject.updateMany({
      where: {
        id,
        OR: [
          { state: { in: ['STAGING', 'LIVE'] } },
          { state: 'CORRUPT', copies: { some: { version: { not: null } } } },
        ],
      },
      data: {
        refCount: { increment: 1 },
        state: 'LIVE',
        // Referenced, it needs no pin; another who is about to point here and comes too late stores the bytes again.
        pinnedUntil: null,
        scannedBy: facts.scannedBy,
        scannedAt: facts.now,
        variantSpecs: facts.variantSpecs,
        variantsReason: facts.variantsReason,
      },
    });
    return count === 1;
  }

  /** Whether an asset may be READY on it, if only until its bytes are stored anew; locked until the transaction ends. */
  async isStored(tx: Tx, id: bigint): Promise<boolean> {
    const rows = await tx.$queryRaw<object[]>`
      select 1 from stored_objects where id = ${id} and state in ('LIVE', 'CORRUPT') for share`;
    return rows.length === 1;
  }

  /** Counts an asset out, in the transaction that removes it. */
  async removeReference(tx: Tx, id: bigint): Promise<void> {
    await tx.storedObject.update({
      where: { id },
      data: { refCount: { decrement: 1 } },
      select: { id: true },
    });
  }

  /** Objects that nobody points at and nobody is about to point at, and those whose deletion is due again, which come last. */
  async collectable(now: Date, limit: number): Promise<bigint[]> {
    const rows = await this.database.query(COLLECTABLE, [now, limit]);
    return rows.map(({ id }) => BigInt(id));
  }

  /**
   * Deletes an object that nobody needs: first the row is moved to DELETING, from where it cannot be pointed at, and pinned to
   * this collector alone; then the bytes go at their version, then the row. False when it is needed after all, or another's to
   * delete. Repeatable at every step.
   */
  async collect(id: bigint, now: Date, stopped = new AbortController().signal): Promise<boolean> {
    // A sweep that goes on for long says when it began.
    const begun = new Date(Math.max(now.getTime(), this.clock.now().getTime()));
    const until = after(begun, COLLECT_MS);
    const places = await this.database.query(CONDEMN, [id, now, until]);
    if (places.length === 0) return false;
    const gone: string[] = [];
    const signal = AbortSignal.any([stopped, AbortSignal.timeout(DELETE_MS)]);
    try {
      for (const { bucket, key, version } of places) {
        const there = version ?? (await this.unrecorded(id, { bucket, key }, until));
        if (there !== null) await this.store.delete({ bucket, key, version: there }, { signal });
        gone.push(key);
      }
    } catch (error) {
      const isRefused = !signal.aborted && kindOf(error) !== 'unavailable';
      // Refused (a hold, a retention period), the bytes are there, and whoever uploads the same may point at them. Without
      // an answer they may still go.
      const [state, ms] = isRefused ? ['STAGING', REFUSED_MS] : ['DELETING', UNANSWERED_MS];
      await this.database.query(PUT_OFF, [id, until, state, after(begun, ms), gone]);
      throw error;
    }
    await this.database.query(DROP, [id, until]);
    return true;
  }

  /**
   * A copy that was made but not recorded is there at a version that only storage knows. Asked before the row: while that
   * stands in DELETING nobody can store these bytes anew, and what was seen there is not what somebody else needs. Another
   * collector may have finished meanwhile.
   */
  private async unrecorded(id: bigint, at: ObjectRef, until: Date): Promise<string | null> {
    const there = await this.store.stat(at);
    if (there === null) return null;
    const rows = await this.database.query(CONDEMNED, [id, until]);
    return rows.length === 1 ? there.version : null;
  }
}

const after = (now: Date, ms: number) => new Date(now.getTime() + ms);
