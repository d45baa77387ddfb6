import { Injectable } from '@nestjs/common';
import { Database, type Statement } from '#libs/database';
import { type ObjectVersion, quarantineKey } from '#libs/domain';
import { ObjectStore } from '#libs/storage';
import { ContentStoreConfig } from './content.config.js';

const MARK = (name: string, condition: string): Statement<{ id: string }> => ({
  name,
  text: `update stored_objects set state = 'QUARANTINED', pinned_until = null, claimed_until = null
    where ${condition} and state in ('STAGING', 'LIVE') returning id`,
});
const MARKS = {
  object: MARK('quarantine_mark', 'id = $1'),
  content: MARK('quarantine_mark_content', 'scope = $1 and sha256 = $2'),
};

/** Marked objects whose bytes have not been moved yet. */
const UNFINISHED: Statement<{ id: string; sha256: string }> = {
  name: 'quarantine_unfinished',
  text: `select o.id, o.sha256 from stored_objects o
    where o.state = 'QUARANTINED' and o.id > $2 and exists (select from object_copies c where c.stored_object_id = o.id)
    order by o.id limit $1`,
};

const LOCATIONS: Statement<{ bucket: string; key: string; version: string | null; variant: boolean }> = {
  name: 'quarantine_places',
  text: `select bucket, key, version, false as variant from object_copies where stored_object_id = $1
    union all select bucket, key, version, true from object_variants where stored_object_id = $1`,
};

const FORGET: Statement<never> = {
  name: 'quarantine_forget',
  text: `with variants as (delete from object_variants where stored_object_id = $1)
    delete from object_copies where stored_object_id = $1`,
};

/** A stored object whose bytes are infected. */
export interface InfectedObject {
  readonly id: bigint;
  readonly sha256: string;
}

/**
 * Quarantines stored objects. No asset can point at an object after the mark. Its bytes move to the quarantine bucket; its row
 * stays, so that the same bytes are recognised when they are uploaded again. Every step can be repeated.
 */
@Injectable()
export class QuarantineService {
  constructor(
    private readonly config: ContentStoreConfig,
    private readonly database: Database,
    private readonly store: ObjectStore,
  ) {}

  /** @returns false when the object is not in a state that can be quarantined */
  async mark(id: bigint): Promise<boolean> {
    return (await this.database.query(MARKS.object, [id])).length === 1;
  }

  /** Marks the stored object of these bytes. @returns its id; null when there is none to mark */
  async markContent(scope: string, sha256: string): Promise<bigint | null> {
    const [row] = await this.database.query(MARKS.content, [scope, sha256]);
    return row === undefined ? null : BigInt(row.id);
  }

  /** Marked objects whose bytes have not been moved yet, in the order of their ids. */
  async unfinished(after: bigint, limit: number): Promise<InfectedObject[]> {
    const rows = await this.database.query(UNFINISHED, [limit, after]);
    return rows.map(({ id, sha256 }) => ({ id: BigInt(id), sha256 }));
  }

  /** Moves the bytes of a marked object to the quarantine bucket and deletes its variants. */
  async removeBytes({ id, sha256 }: InfectedObject): Promise<void> {
    for (const { variant, version, ...at } of await this.database.query(LOCATIONS, [id])) {
      const found = version === null ? await this.store.stat(at) : { ...at, version };
      if (found === null) continue;
      if (!variant) await this.copy(found, sha256);
      await this.store.delete(found);
    }
    await this.database.query(FORGET, [id]);
  }

  /** Copies infected bytes to the quarantine bucket. @returns false when `from` does not exist any more */
  async copy(from: ObjectVersion, sha256: string, signal?: AbortSignal): Promise<boolean> {
    const to = { bucket: this.config.quarantineBucket, key: quarantineKey(sha256) };
    const request = { from, to, expect: 'absent' as const, contentType: 'application/octet-stream' };
    // `changed` means that an earlier copy of the same bytes exists.
    return (await this.store.copy(request, { signal })).outcome !== 'source-missing';
  }
}
