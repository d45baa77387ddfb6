import { Injectable } from '@nestjs/common';
import { columnsSql, Database, type OwnerQuota, statement, type Tx } from '#libs/database';
import { invalid, type QuotaEffect } from '#libs/domain';
import { QuotaConfig } from './quota.config.js';

/**
 * Limits and usage of one owner. `reserved` counts unfinished uploads, `used` counts stored files; their sum counts
 * against the limit.
 */
export type Quota = { readonly [Column in keyof Omit<OwnerQuota, 'ownerId'>]: number };

type Row = Omit<OwnerQuota, 'ownerId'>;

const COLUMNS = columnsSql<OwnerQuota>('q', [
  'limitBytes',
  'limitAssets',
  'usedBytes',
  'reservedBytes',
  'usedAssets',
  'reservedAssets',
]);

const FIND = statement<Row>('quota_find', `select ${COLUMNS} from owner_quotas q where q.owner_id = $1`);

const SET_LIMITS = statement<Row>(
  'quota_set_limits',
  `insert into owner_quotas as q (owner_id, limit_bytes, limit_assets) values ($1, $2, $3)
    on conflict (owner_id) do update set limit_bytes = excluded.limit_bytes, limit_assets = excluded.limit_assets
    returning ${COLUMNS}`,
);

/** Assets by which each effect changes the owner's usage; null if no transition has to change it. */
const CHANGES: Readonly<Record<QuotaEffect, { reserved: number; used: number } | null>> = {
  // The statement that creates the asset changes the usage.
  reserve: null,
  use: null,
  settle: { reserved: -1, used: 1 },
  release: { reserved: -1, used: 0 },
  return: { reserved: 0, used: -1 },
  none: null,
};

/**
 * Exact quota per owner. The SQL statement that creates an asset (libs/upload) also reserves its quota, so that an
 * asset and its reservation always exist together. If the asset is stored at once, that statement counts it as used.
 */
@Injectable()
export class QuotaService {
  constructor(
    readonly defaults: QuotaConfig,
    private readonly database: Database,
  ) {}

  /** Limits and current usage of an owner. */
  async of(ownerId: bigint): Promise<Quota> {
    const [row] = await this.database.query(FIND, [ownerId]);
    return this.quotaOf(row);
  }

  /**
   * Sets both limits of an owner, also of one without uploads. Limits may be lower than the usage; then all new uploads are refused.
   * Reservations read the limits from the row that they lock, so the limits hold for each one that begins after the call.
   * @throws StowageError invalid NUMBER_INVALID for a negative limit
   */
  async setLimits(
    ownerId: bigint,
    { limitBytes, limitAssets }: Pick<Quota, 'limitBytes' | 'limitAssets'>,
  ): Promise<Quota> {
    for (const [name, limit] of Object.entries({ limitBytes, limitAssets })) {
      if (limit < 0) throw invalid('NUMBER_INVALID', `${name} must not be negative.`, [name]);
    }
    const [row] = await this.database.query(SET_LIMITS, [ownerId, limitBytes, limitAssets]);
    return this.quotaOf(row);
  }

  /** Applies a status transition to the owner's usage, within the transaction of the transition. */
  async apply(tx: Tx, effect: QuotaEffect, ownerId: bigint, sizeBytes: bigint): Promise<void> {
    const change = CHANGES[effect];
    if (change === null) return;
    await tx.ownerQuota.update({
      where: { ownerId },
      data: {
        reservedBytes: { increment: sizeBytes * BigInt(change.reserved) },
        reservedAssets: { increment: change.reserved },
        usedBytes: { increment: sizeBytes * BigInt(change.used) },
        usedAssets: { increment: change.used },
      },
      select: { ownerId: true },
    });
  }

  /** Owners without a row, or without limits of their own, have the default limits. */
  private quotaOf(row: Row | undefined): Quota {
    return {
      limitBytes: Number(row?.limitBytes ?? this.defaults.limitBytes),
      limitAssets: row?.limitAssets ?? this.defaults.limitAssets,
      usedBytes: Number(row?.usedBytes ?? 0),
      reservedBytes: Number(row?.reservedBytes ?? 0),
      usedAssets: row?.usedAssets ?? 0,
      reservedAssets: row?.reservedAssets ?? 0,
    };
  }
}
