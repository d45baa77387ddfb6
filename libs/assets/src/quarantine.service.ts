import { Injectable } from '@nestjs/common';
import { PinoLogger } from 'nestjs-pino';
import { Database, type Statement, type Tx } from '#libs/database';
import { type ObjectVersion, quarantineKey, TRANSITIONS } from '#libs/domain';
import { EventRelay } from '#libs/events';
import { QuotaService } from '#libs/quota';
import { ObjectStore } from '#libs/storage';

const BATCH = 200;

const MARK = (name: string, condition: string): Statement<{ id: string }> => ({
  name,
  text: `update stored_objects set state = 'QUARANTINED', pinned_until = null, claimed_until = null
    where ${condition} and state in ('STAGING', 'LIVE') returning id`,
});
const MARKS = {
  object: MARK('quarantine_mark', 'id = $1'),
  content: MARK('quarantine_mark_content', 'scope = $1 and sha256 = $2'),
};

/** Marked, and their bytes still where readers can get at them. */
const UNFINISHED: Statement<{ id: string; sha256: string }> = {
  name: 'quarantine_unfinished',
  text: `select o.id, o.sha256 from stored_objects o
    where o.state = 'QUARANTINED' and o.id > $2 and exists (select from object_copies c where c.stored_object_id = o.id)
    order by o.id limit $1`,
};

const PLACES: Statement<{ bucket: string; key: string; version: string | null; variant: boolean }> = {
  name: 'quarantine_places',
  text: `select bucket, key, version, false as variant from object_copies where stored_object_id = $1
    union all select bucket, key, version, true from object_variants where stored_object_id = $1`,
};

const FORGET: Statement<never> = {
  name: 'quarantine_forget',
  text: `with variants as (delete from object_variants where stored_object_id = $1)
    delete from object_copies where stored_object_id = $1`,
};

interface Refused {
  asset_id: string;
  owner_id: string;
  size_bytes: string;
}

/**
 * Bytes that were stored and are found infected later. From the mark on nobody can point at them; all assets that did are
 * REJECTED, and the bytes leave the place that readers' URLs lead to. The row stays, so that the same bytes are known again.
 * Every step can be repeated; a sweeper finishes what was begun.
 */
@Injectable()
export class QuarantineService {
  constructor(
    private readonly database: Database,
    private readonly quotas: QuotaService,
    private readonly relay: EventRelay,
    private readonly store: ObjectStore,
    private readonly logger: PinoLogger,
  ) {
    logger.setContext(QuarantineService.name);
  }

  /** False when the object is not there to be quarantined (any more). */
  async condemn(id: bigint): Promise<boolean> {
    return (await this.database.query(MARKS.object, [id])).length === 1;
  }

  /** The same for whatever is stored of these bytes. Null when nothing is. */
  async condemnContent(scope: string, sha256: string): Promise<bigint | null> {
    const [row] = await this.database.query(MARKS.content, [scope, sha256]);
    return row === undefined ? null : BigInt(row.id);
  }

  /** Those that somebody has begun to quarantine, in order. */
  async unfinished(after: bigint, limit: number): Promise<{ id: bigint; sha256: string }[]> {
    const rows = await this.database.query(UNFINISHED, [limit, after]);
    return rows.map(({ id, sha256 }) => ({ id: BigInt(id), sha256 }));
  }

  /** Both at once, for what nobody has begun to quarantine. */
  async seize(object: { id: bigint; sha256: string }, bucket: string, now: Date): Promise<void> {
    if (await this.condemn(object.id)) await this.finish(object, bucket, now);
  }

  /** Takes condemned bytes away from all who had them. Answers how many assets were refused. */
  async finish({ id, sha256 }: { id: bigint; sha256: string }, bucket: string, now: Date): Promise<number> {
    let refused = 0;
    for (let count = BATCH; count === BATCH; refused += count) count = await this.refuse(id, now);
    for (const { variant, version, ...at } of await this.database.query(PLACES, [id])) {
      const there = version === null ? await this.store.stat(at) : { ...at, version };
      if (there !== null) await (variant ? this.store.delete(there) : this.move(there, bucket, sha256));
    }
    await this.database.query(FORGET, [id]);
    this.logger.warn({ storedObject: String(id), refused }, 'stored bytes quarantined');
    return refused;
  }

  /** Copies infected bytes to where nobody gets at them through the service. Repeatable; false when they are gone. */
  async keep(from: ObjectVersion, bucket: string, sha256: string, signal?: AbortSignal): Promise<boolean> {
    const to = { bucket, key: quarantineKey(sha256) };
    const request = { from, to, expect: 'absent' as const, contentType: 'application/octet-stream' };
    // Changed: they are there already, from somebody else.
    return (await this.store.copy(request, { signal })).outcome !== 'source-missing';
  }

  private async move(from: ObjectVersion, bucket: string, sha256: string): Promise<void> {
    await this.keep(from, bucket, sha256);
    await this.store.delete(from);
  }

  private async refuse(objectId: bigint, now: Date): Promise<number> {
    const rows = await this.database.transaction((tx) => this.refuseBatch(tx, objectId, now));
    if (rows.length > 0) this.relay.wake();
    return rows.length;
  }

  /** In the order of locks: assets, the object, quotas. */
  private async refuseBatch(tx: Tx, objectId: bigint, now: Date): Promise<Refused[]> {
    const { from, to, event, quota } = TRANSITIONS.condemn;
    const rows = await tx.$queryRawUnsafe<Refused[]>(
      `with taken as (
          select asset_id from media_assets where stored_object_id = $1 and status = any($2::asset_status[])
          order by asset_id limit ${BATCH} for update),
        refused as (
          update media_assets a set status = $3::asset_status, status_reason = 'MALWARE', status_detail = $4,
            stored_object_id = null, updated_at = $5, version = version + 1
          from taken t where a.asset_id = t.asset_id
          returning a.asset_id, a.owner_id, a.size_bytes),
        logged as (
          insert into domain_events (type, asset_id, owner_id) select $6, asset_id, owner_id from refused)
        select asset_id, owner_id::text, size_bytes::text from refused`,
      objectId,
      from,
      to,
      'The file was found to be infected after it had been stored.',
      now,
      event,
    );
    if (rows.length === 0) return rows;
    await tx.storedObject.update({
      where: { id: objectId },
      data: { refCount: { decrement: rows.length } },
      select: { id: true },
    });
    for (const { owner_id: owner, size_bytes: size } of [...rows].sort(byOwner)) {
      await this.quotas.apply(tx, quota, BigInt(owner), BigInt(size));
    }
    return rows;
  }
}

const byOwner = (a: Refused, b: Refused) => Number(BigInt(a.owner_id) - BigInt(b.owner_id));
