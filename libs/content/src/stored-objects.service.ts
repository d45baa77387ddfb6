import { Injectable } from '@nestjs/common';
import { Clock, Database, type Statement, type Tx } from '#libs/database';
import { kindOf, type ObjectRef, type VariantsReason } from '#libs/domain';
import { ObjectStore } from '#libs/storage';

/** The only location so far. */
const PRIMARY = 'primary';
/** How long a pin protects bytes from the collector while they are copied. */
const PIN_MS = 60 * 60_000;
/** Lease of a collector on an object. It stops asking storage after half of it, so that no request is pending when another collector starts. */
const COLLECT_MS = 10 * 60_000;
const DELETE_MS = COLLECT_MS / 2;
/** Delay before the next attempt when storage did not answer a delete, and when it refused one. */
const UNANSWERED_MS = 60_000;
const REFUSED_MS = 60 * 60_000;

export interface Content {
  /** The dedupe scope: empty when all owners share objects. */
  readonly scope: string;
  readonly sha256: string;
  readonly crc32c: string;
  readonly sizeBytes: number;
}

/** A pinned row, to which assets may point once the bytes are stored. */
export interface StagedObject {
  readonly id: bigint;
  /** The recorded version of the copy; null for none. */
  readonly version: string | null;
}

/** Facts about the bytes, recorded when an asset begins to point at them. */
export interface ObjectFacts {
  /** Label of the scanner that scanned them last; a scanner with another label scans them again. The verdict stands on the asset. */
  readonly scannedBy: string;
  /** Specifications of the variants, made or tried; null for bytes that get none. */
  readonly variantSpecs: string | null;
  /** Why a picture has no variants; null when it has them, and for other files. */
  readonly variantsReason: VariantsReason | null;
  readonly now: Date;
}

interface StagedRow {
  id: string;
  version: string | null;
}

interface Location extends ObjectRef {
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
  // The lock orders this against a collector: one that starts later sees the version, one that has started keeps the row from changing.
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

const CONDEMN: Statement<Location> = {
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

/** The mark clears the version, so that any copy recorded afterwards was made from verified bytes. */
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

/** Objects that assets share, and their reference counts. */
@Injectable()
export class StoredObjectsService {
  constructor(
    private readonly database: Database,
    private readonly store: ObjectStore,
    private readonly clock: Clock,
  ) {}

  /**
   * Creates and pins the row before any byte is copied. @returns null while the object is being deleted or is quarantined; the caller
   * tries again later
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

  /** Whether these bytes were found infected before, with any owner. */
  async isKnownInfected(sha256: string): Promise<boolean> {
    return (await this.database.query(KNOWN_INFECTED, [sha256])).length > 0;
  }

  async isQuarantined(id: bigint): Promise<boolean> {
    return (await this.database.query(QUARANTINED, [id])).length > 0;
  }

  /**
   * Records the version of a new copy. @param superseded the versions that it has replaced in storage
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
   * Stops serving an object whose bytes at this version are damaged. The next upload of the same bytes stores them again, for all
   * assets that share the object. @returns false when another version is recorded or the state has changed
   */
  async markCorrupt(id: bigint, version: string): Promise<boolean> {
    return (await this.database.query(MARK_CORRUPT, [id, version])).length === 1;
  }

  /**
   * Adds a reference, in the transaction that points an asset here. A CORRUPT object with a new copy becomes LIVE.
   * @returns false when no asset may point at the object
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
        // A referenced object needs no pin. Another upload that loses its pin here stores the bytes again.
        pinnedUntil: null,
        scannedBy: facts.scannedBy,
        scannedAt: facts.now,
        variantSpecs: facts.variantSpecs,
        variantsReason: facts.variantsReason,
      },
    });
    return count === 1;
  }

  /** Whether a READY asset may point at the object. Locks the row until the transaction ends. */
  async isStored(tx: Tx, id: bigint): Promise<boolean> {
    const rows = await tx.$queryRaw<object[]>`
      select 1 from stored_objects where id = ${id} and state in ('LIVE', 'CORRUPT') for share`;
    return rows.length === 1;
  }

  /** Removes references, in the transaction that takes the object from its assets. */
  async removeReferences(tx: Tx, id: bigint, count = 1): Promise<void> {
    await tx.storedObject.update({
      where: { id },
      data: { refCount: { decrement: count } },
      select: { id: true },
    });
  }

  /** Objects without references and pins; those whose deletion is due again come last. */
  async collectable(now: Date, limit: number): Promise<bigint[]> {
    const rows = await this.database.query(COLLECTABLE, [now, limit]);
    return rows.map(({ id }) => BigInt(id));
  }

  /**
   * Deletes an unreferenced object. The row moves to DELETING first, where no asset can point at it and no other collector takes it;
   * then the bytes are deleted at their version, then the row. Every step can be repeated.
   * @returns false when the object is referenced or pinned, or another collector has it
   */
  async collect(id: bigint, now: Date, stopped = new AbortController().signal): Promise<boolean> {
    // `now` is the start of the sweep, which may be long ago.
    const begun = new Date(Math.max(now.getTime(), this.clock.now().getTime()));
    const until = after(begun, COLLECT_MS);
    const locations = await this.database.query(CONDEMN, [id, now, until]);
    if (locations.length === 0) return false;
    const deleted: string[] = [];
    const signal = AbortSignal.any([stopped, AbortSignal.timeout(DELETE_MS)]);
    try {
      for (const { bucket, key, version } of locations) {
        const found = version ?? (await this.unrecordedVersion(id, { bucket, key }, until));
        if (found !== null) await this.store.delete({ bucket, key, version: found }, { signal });
        deleted.push(key);
      }
    } catch (error) {
      const isRefused = !signal.aborted && kindOf(error) !== 'unavailable';
      // After a refusal (a hold, a retention period) the bytes exist and new uploads may share them. Without an answer they may
      // still be deleted.
      const [state, ms] = isRefused ? ['STAGING', REFUSED_MS] : ['DELETING', UNANSWERED_MS];
      await this.database.query(PUT_OFF, [id, until, state, after(begun, ms), deleted]);
      throw error;
    }
    await this.database.query(DROP, [id, until]);
    return true;
  }

  /**
   * The version of a copy that was made but not recorded. Storage is asked before the row: while the row is DELETING no upload can
   * store these bytes again, so the version found is not one that another upload needs.
   */
  private async unrecordedVersion(id: bigint, at: ObjectRef, until: Date): Promise<string | null> {
    const found = await this.store.stat(at);
    if (found === null) return null;
    // Another collector may have finished meanwhile.
    const rows = await this.database.query(CONDEMNED, [id, until]);
    return rows.length === 1 ? found.version : null;
  }
}

const after = (now: Date, ms: number) => new Date(now.getTime() + ms);
