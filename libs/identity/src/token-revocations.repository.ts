import { Injectable } from '@nestjs/common';
import { columnsSql, Database, statement, type TokenRevocation } from '#libs/database';

/** Notification channel of revocations: the owner's id and the instant in epoch milliseconds, separated by a space. */
export const CHANNEL = 'stowage_revocations';
export const PAYLOAD = /^(\d+) (-?\d+)$/;
const PAGE = 1_000;

// `changed_at` never goes back, so that readers that continue after the latest one miss nothing after a failover to a server
// whose clock is behind.
const REVOKE = statement<object>(
  'identity_revoke_tokens',
  `with revoked as (
      insert into token_revocations as r (owner_id, before, changed_at)
      values ($1, $2, greatest(clock_timestamp(), (select max(changed_at) from token_revocations)))
      on conflict (owner_id) do update set before = excluded.before, changed_at = excluded.changed_at
        where r.before < excluded.before
      returning owner_id, before)
    select pg_notify('${CHANNEL}', owner_id || ' ' || (extract(epoch from before) * 1000)::bigint) from revoked`,
);

const LIST_CHANGED = statement<TokenRevocation>(
  'identity_list_changed_revocations',
  `select ${columnsSql<TokenRevocation>('r', ['ownerId', 'before', 'changedAt'])} from token_revocations r
    where (r.changed_at, r.owner_id) > ($1, $2) order by r.changed_at, r.owner_id limit ${PAGE}`,
);

const FIND = statement<Pick<TokenRevocation, 'before'>>(
  'identity_find_revocation',
  'select before from token_revocations where owner_id = $1',
);

/** Revocations of the tokens of owners. */
@Injectable()
export class TokenRevocationsRepository {
  constructor(private readonly database: Database) {}

  /** Stores the instant unless a later one is stored, and notifies all listening processes in the same commit. */
  async revoke(ownerId: bigint, before: Date): Promise<void> {
    await this.database.query(REVOKE, [ownerId, before]);
  }

  /** Pages of the revocations that changed after `since`, in the order of their changes. */
  async *changedAfter(since: Date): AsyncGenerator<readonly TokenRevocation[]> {
    let after: readonly [Date, bigint] = [since, -1n];
    for (;;) {
      const page = await this.database.query(LIST_CHANGED, after);
      if (page.length > 0) yield page;
      const last = page.at(-1);
      if (last === undefined || page.length < PAGE) return;
      after = [last.changedAt, last.ownerId];
    }
  }

  /** The instant before which the owner's tokens were revoked. */
  async find(ownerId: bigint): Promise<Date | undefined> {
    return (await this.database.query(FIND, [ownerId]))[0]?.before;
  }
}
