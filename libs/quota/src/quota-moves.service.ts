import { Injectable } from '@nestjs/common';
import { Database, statement, type Tx } from '#libs/database';
import { StowageError } from '#libs/domain';
import { QuotaConfig } from './quota.config.js';

/** An asset that changes its owner, and how it counts. */
export interface QuotaMove {
  readonly from: bigint;
  readonly to: bigint;
  readonly sizeBytes: number;
  readonly kind: 'used' | 'reserved';
}

const ADD_OWNER = statement<never>(
  'quota_add_owner',
  'insert into owner_quotas (owner_id) values ($1) on conflict do nothing',
);

/** The room of the receiver `q` for $1 bytes and one asset; $2 and $3 are the default limits. */
const HAS_ROOM = `q.used_bytes + q.reserved_bytes + $1::bigint <= coalesce(q.limit_bytes, $2::bigint)
    and q.used_assets + q.reserved_assets + 1 <= coalesce(q.limit_assets, $3::int)`;

/** An owner without a row has used nothing. */
const FIND_ROOM = statement<{ hasRoom: boolean }>(
  'quota_find_room',
  `select coalesce(bool_and(${HAS_ROOM}), $1::bigint <= $2::bigint and 1 <= $3::int) as "hasRoom"
    from owner_quotas q where q.owner_id = $4`,
);

/** Locks the rows in the order of the owners, so that two moves cannot deadlock. */
const MOVE = (kind: QuotaMove['kind']) =>
  statement<{ ownerId: bigint }>(
    `quota_move_${kind}`,
    `with locked as (
        select owner_id from owner_quotas where owner_id in ($4, $5) order by owner_id for no key update)
      update owner_quotas q set ${kind}_bytes = q.${kind}_bytes + l.sign * $1::bigint, ${kind}_assets = q.${kind}_assets + l.sign
      from (select owner_id, case when owner_id = $5 then 1 else -1 end as sign from locked) l
      where q.owner_id = l.owner_id and (l.sign < 0 or (${HAS_ROOM}))
      returning q.owner_id as "ownerId"`,
  );
const MOVES = { used: MOVE('used'), reserved: MOVE('reserved') };

/** Moves usage between owners. */
@Injectable()
export class QuotaMovesService {
  constructor(
    private readonly defaults: QuotaConfig,
    private readonly database: Database,
  ) {}

  /**
   * Checks early whether the receiver has room, before bytes are copied for it. Only {@link move} decides.
   * @throws StowageError over-quota QUOTA_EXCEEDED; unavailable
   */
  async assertRoom({ to, sizeBytes }: QuotaMove): Promise<void> {
    const [found] = await this.database.query(FIND_ROOM, [...this.roomFor(sizeBytes), to]);
    if (!found!.hasRoom) throw noRoom();
  }

  /**
   * Moves the usage of one asset to another owner, in the transaction that changes the owner.
   * @throws StowageError over-quota QUOTA_EXCEEDED, which must end the transaction
   */
  async move(tx: Tx, { from, to, sizeBytes, kind }: QuotaMove): Promise<void> {
    await tx.$executeRawUnsafe(ADD_OWNER.text, to);
    const values = [...this.roomFor(sizeBytes), from, to];
    const moved = await tx.$queryRawUnsafe<{ ownerId: bigint }[]>(MOVES[kind].text, ...values);
    if (!moved.some(({ ownerId }) => ownerId === from)) throw new Error('The owner has no quota row.');
    if (!moved.some(({ ownerId }) => ownerId === to)) throw noRoom();
  }

  private roomFor(sizeBytes: number): number[] {
    return [sizeBytes, this.defaults.limitBytes, this.defaults.limitAssets];
  }
}

const noRoom = () =>
  new StowageError('over-quota', 'QUOTA_EXCEEDED', 'The asset would exceed the quota of the new owner.');
