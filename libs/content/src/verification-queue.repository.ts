import { Injectable } from '@nestjs/common';
import { Database, type IntegrityFinding, statement, type StoredObject } from '#libs/database';
import { OBJECT_PROBLEMS } from './object-verification.service.js';

/** A stored object to verify. */
export type UnverifiedObject = Pick<StoredObject, 'id' | 'sizeBytes' | 'lastVerifiedAt'>;

/** Open findings of one object that is not CORRUPT any more. The state is null if the object does not exist. */
export interface ObsoleteFindings {
  readonly storedObjectId: bigint;
  readonly problems: readonly IntegrityFinding['problem'][];
  readonly state: 'LIVE' | 'QUARANTINED' | null;
  readonly sizeBytes: bigint | null;
}

const PROBLEMS = OBJECT_PROBLEMS.map((problem) => `'${problem}'`).join(', ');

export const OBSOLETE_FINDINGS = statement<ObsoleteFindings>(
  'verification_obsolete_findings',
  `select f.stored_object_id as "storedObjectId", o.state, o.size_bytes as "sizeBytes",
      array_agg(f.problem::text order by f.id) as problems
    from integrity_findings f left join stored_objects o on o.id = f.stored_object_id
    where not f.repaired and f.stored_object_id > $2 and f.subject = 'object ' || f.stored_object_id
      and f.problem in (${PROBLEMS}) and (o.id is null or o.state in ('LIVE', 'QUARANTINED'))
    group by f.stored_object_id, o.state, o.size_bytes order by f.stored_object_id limit $1`,
);

/** One part has the objects that were never verified; in it, the position has no time. Objects of open findings come before this list. */
export const UNVERIFIED = statement<UnverifiedObject>(
  'verification_due',
  `select * from (
      (select id, size_bytes as "sizeBytes", last_verified_at as "lastVerifiedAt" from stored_objects o
        where state = 'LIVE' and last_verified_at is null and $3::timestamptz is null and id > $4 and not ${hasFinding()}
        order by last_verified_at nulls first, id limit $1)
      union all
      (select id, size_bytes, last_verified_at from stored_objects o
        where state = 'LIVE' and last_verified_at < $2 and not ${hasFinding()}
          and (last_verified_at, id) > (coalesce($3, '-infinity'), case when $3::timestamptz is null then 0 else $4 end)
        order by last_verified_at nulls first, id limit $1)) due
    order by "lastVerifiedAt" nulls first, id limit $1`,
);

function hasFinding(): string {
  return `exists (select from integrity_findings f
          where f.subject = 'object ' || o.id and f.problem in (${PROBLEMS}) and not f.repaired)`;
}

export const OLDEST_CHECK = statement<{ readonly at: Date }>(
  'verification_oldest',
  `select coalesce(last_verified_at, created_at) as at from stored_objects where state = 'LIVE'
    order by last_verified_at nulls first, id limit 1`,
);

/** The order in which stored objects are verified. */
@Injectable()
export class VerificationQueueRepository {
  constructor(private readonly database: Database) {}

  /** Open findings of objects that are LIVE, infected or gone, by object, after one of them. */
  obsoleteFindings(limit: number, after?: ObsoleteFindings): Promise<ObsoleteFindings[]> {
    return this.database.query(OBSOLETE_FINDINGS, [limit, after?.storedObjectId ?? 0n]);
  }

  /** LIVE objects that were last verified before a time, or never, after one of them; oldest first. */
  unverified(before: Date, limit: number, after?: UnverifiedObject): Promise<UnverifiedObject[]> {
    const values = [limit, before, after?.lastVerifiedAt ?? null, after?.id ?? 0n];
    return this.database.query(UNVERIFIED, values);
  }

  /** Time of the oldest verification among all LIVE objects; for one that was never verified, its creation. Null without objects. */
  async oldestCheck(): Promise<Date | null> {
    return (await this.database.query(OLDEST_CHECK, []))[0]?.at ?? null;
  }
}
