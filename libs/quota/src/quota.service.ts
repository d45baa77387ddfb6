import { Injectable } from '@nestjs/common';
import { Database, type Statement, type Tx } from '#libs/database';
import type { QuotaEffect } from '#libs/domain';
import { QuotaConfig } from './quota.config.js';

/**
 * Limits and usage of one owner. `reserved` counts unfinished uploads, `used` counts stored files; their sum counts
 * against the limit.
 */
export interface Quota {
  readonly limitBytes: number;
  readonly limitAssets: number;
  readonly usedBytes: number;
  readonly reservedBytes: number;
  readonly usedAssets: number;
  readonly reservedAssets: number;
}

const FIND: Statement<{
  limit_bytes: string | null;
  limit_assets: number | null;
  used_bytes: string;
  reserved_bytes: string;
  used_assets: number;
  reserved_assets: number;
}> = {
  name: 'quota_find',
  text: `select limit_bytes, limit_assets, used_bytes, reserved_bytes, used_assets, reserved_assets
         from owner_quotas where owner_id = $1`,
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
    return {
      limitBytes: Number(row?.limit_bytes ?? this.defaults.limitBytes),
      limitAssets: row?.limit_assets ?? this.defaults.limitAssets,
      usedBytes: Number(row?.used_bytes ?? 0),
      reservedBytes: Number(row?.reserved_bytes ?? 0),
      usedAssets: row?.used_assets ?? 0,
      reservedAssets: row?.reserved_assets ?? 0,
    };
  }

  /** Applies a status transition to the owner's usage, within the transaction of the transition. */
  async apply(tx: Tx, effect: QuotaEffect, ownerId: bigint, sizeBytes: bigint): Promise<void> {
    switch (effect) {
      case 'settle':
        await tx.ownerQuota.update({
          where: { ownerId },
          data: {
            reservedBytes: { decrement: sizeBytes },
            reservedAssets: { decrement: 1 },
            usedBytes: { increment: sizeBytes },
            usedAssets: { increment: 1 },
          },
          select: { ownerId: true },
        });
        return;
      case 'release':
        await tx.ownerQuota.update({
          where: { ownerId },
          data: { reservedBytes: { decrement: sizeBytes }, reservedAssets: { decrement: 1 } },
          select: { ownerId: true },
        });
        return;
      case 'return':
        await tx.ownerQuota.update({
          where: { ownerId },
          data: { usedBytes: { decrement: sizeBytes }, usedAssets: { decrement: 1 } },
          select: { ownerId: true },
        });
        return;
      case 'reserve':
      case 'use':
      case 'none':
        return;
    }
  }
}
