import { Injectable } from '@nestjs/common';
import { Database, type Owner, statement } from '#libs/database';

const DECIMAL = /^(0|[1-9][0-9]{0,18})$/;
const MAX_DIRECT_ID = 2n ** 62n;
const MAX_CACHED_SUBJECTS = 10_000;

const FIND = statement<Pick<Owner, 'ownerId'>>(
  'identity_find_owner',
  'select owner_id as "ownerId" from owners where issuer = $1 and subject = $2',
);

const ADD = statement<Pick<Owner, 'ownerId'>>(
  'identity_add_owner',
  `insert into owners (issuer, subject) values ($1, $2)
    on conflict (issuer, subject) do update set subject = excluded.subject returning owner_id as "ownerId"`,
);

/** Owner ids of the subjects of tokens. */
@Injectable()
export class OwnersRepository {
  private readonly cached = new Map<string, bigint>();

  constructor(private readonly database: Database) {}

  /**
   * A decimal subject up to 2^62 is the owner id itself. The database maps any other subject permanently to an id above
   * 2^62.
   */
  async idOf(issuer: string, subject: string): Promise<bigint> {
    if (DECIMAL.test(subject) && BigInt(subject) <= MAX_DIRECT_ID) return BigInt(subject);
    const key = `${issuer}\n${subject}`;
    const cached = this.cached.get(key);
    if (cached !== undefined) return cached;
    const values = [issuer, subject];
    const [found] = await this.database.query(FIND, values);
    const { ownerId } = found ?? (await this.database.query(ADD, values))[0]!;
    if (this.cached.size >= MAX_CACHED_SUBJECTS) this.cached.clear();
    this.cached.set(key, ownerId);
    return ownerId;
  }
}
