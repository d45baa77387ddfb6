import { Injectable } from '@nestjs/common';
import { type Asset, ASSET_COLUMNS, assetOf, type AssetRow } from '#libs/assets';
import { columnsSql, Database, type MediaAsset, statement } from '#libs/database';
import { kindOf, type StowageError, unavailable } from '#libs/domain';
import { QuotaService } from '#libs/quota';
import { NewAssetsRepository } from './new-assets.repository.js';
import { UploadMetrics } from './upload-metrics.js';
import type { ParsedUploadRequest } from './upload-request.js';

export interface NewAsset extends ParsedUploadRequest {
  readonly id: string;
  readonly requestId: string;
  readonly urlExpiresAt: Date;
  readonly uploadDeadlineAt: Date;
  readonly nextCheckAt: Date;
  readonly now: Date;
}

/** Outcome of one requested upload. `replayed`: the owner has used the idempotency key before, for `asset`. `refused`: by a policy. */
export type Created =
  | { readonly outcome: 'created'; readonly asset: Asset }
  | { readonly outcome: 'replayed'; readonly asset: Asset; readonly fingerprint: string }
  | { readonly outcome: 'over-quota' }
  | { readonly outcome: 'grant-expired' }
  | { readonly outcome: 'refused'; readonly refusal: StowageError };

/** A valid request that a policy refuses. */
export interface RefusedUpload {
  readonly request: ParsedUploadRequest;
  readonly refusal: StowageError;
}

const FIND_REPLAYED = statement<AssetRow & { idempotencyKey: string; idempotencyFingerprint: string }>(
  'upload_find_replayed',
  `select ${ASSET_COLUMNS}, ${columnsSql<MediaAsset>('a', ['idempotencyKey', 'idempotencyFingerprint'])}
    from media_assets a where a.owner_id = $1 and a.idempotency_key = any($2)`,
);

/** Each round without progress means that another request of the owner succeeded meanwhile. */
const MAX_ROUNDS = 10;

/** Creates assets for upload requests. */
@Injectable()
export class UploadRepository {
  constructor(
    private readonly database: Database,
    private readonly quotas: QuotaService,
    private readonly newAssets: NewAssetsRepository,
    private readonly metrics: UploadMetrics,
  ) {}

  /**
   * Reserves quota and creates assets of one owner in one statement. If not all can be created (a key was used before, or the quota
   * suffices for some only), the statement is repeated for those that can. An outage after the first asset is the outcome of the rest.
   * @throws StowageError unavailable, also QUOTA_BUSY
   */
  async create(ownerId: bigint, assets: readonly NewAsset[]): Promise<ReadonlyMap<NewAsset, Created>> {
    const created = new Map<NewAsset, Created>();
    try {
      await this.createIn(created, ownerId, assets);
    } catch (error) {
      // The caller must learn the assets that exist, to repeat only the others.
      if (created.size === 0 || kindOf(error) !== 'unavailable') throw error;
      const refused: Created = { outcome: 'refused', refusal: error as StowageError };
      for (const asset of assets) if (!created.has(asset)) created.set(asset, refused);
    }
    for (const outcome of created.values()) this.metrics.requested(outcome);
    return created;
  }

  private async createIn(
    created: Map<NewAsset, Created>,
    ownerId: bigint,
    assets: readonly NewAsset[],
  ): Promise<void> {
    // Assets whose bytes must be sent: those that replace others, and those whose bytes the owner only seemed to have.
    const mustSend = new Set(assets.filter(({ replaces }) => replaces !== undefined));
    for (let round = 0; round < MAX_ROUNDS; round++) {
      const open = assets.filter((asset) => !created.has(asset));
      if (round > 0) await this.resolveConflicts(ownerId, open, created, mustSend);
      const fresh = open.filter((asset) => !created.has(asset) && !hasExpiredGrant(asset));
      const distinct = withoutRepeatedKeys(fresh);
      if (distinct.length > 0) {
        await this.newAssets.insert({ ownerId, assets: distinct, mustSend }, round === 0, created);
      }
      if (created.size === assets.length) return;
    }
    throw unavailable('QUOTA_BUSY', 'Too many uploads are being requested at once. Try again later.');
  }

  /**
   * Outcomes of requests that a policy refuses: a replay if the key was used before, so that clients can always retry.
   * @throws StowageError unavailable
   */
  async refuse(
    ownerId: bigint,
    refused: readonly RefusedUpload[],
  ): Promise<ReadonlyMap<RefusedUpload, Created>> {
    const replayed = await this.findReplayed(
      ownerId,
      refused.map(({ request }) => request),
    );
    return new Map(
      refused.map((item) => {
        const { request, refusal } = item;
        const outcome = replayed.get(request.idempotencyKey) ?? { outcome: 'refused', refusal };
        this.metrics.requested(outcome);
        return [item, outcome];
      }),
    );
  }

  /**
   * Finds the outcome of assets that cannot be created: those of used keys, expired grants and, in the order of the request, those
   * beyond the quota. Then creates assets that share bytes of the owner.
   */
  private async resolveConflicts(
    ownerId: bigint,
    open: readonly NewAsset[],
    created: Map<NewAsset, Created>,
    mustSend: Set<NewAsset>,
  ): Promise<void> {
    const [replayed, quota] = await Promise.all([this.findReplayed(ownerId, open), this.quotas.of(ownerId)]);
    let bytes = quota.limitBytes - quota.usedBytes - quota.reservedBytes;
    let count = quota.limitAssets - quota.usedAssets - quota.reservedAssets;
    const shareable: NewAsset[] = [];
    for (const asset of withoutRepeatedKeys(open)) {
      const first = replayed.get(asset.idempotencyKey);
      if (first !== undefined) {
        created.set(asset, first);
      } else if (hasExpiredGrant(asset)) {
        created.set(asset, { outcome: 'grant-expired' });
      } else if (asset.sizeBytes > bytes || count < 1) {
        created.set(asset, { outcome: 'over-quota' });
      } else {
        if (!mustSend.has(asset)) shareable.push(asset);
        bytes -= asset.sizeBytes;
        count -= 1;
      }
    }
    if (shareable.length === 0) return;
    for (const item of await this.newAssets.share(ownerId, shareable, created)) mustSend.add(item);
  }

  /** The assets of earlier requests with the idempotency keys of these requests, by key. */
  private async findReplayed(
    ownerId: bigint,
    requests: readonly ParsedUploadRequest[],
  ): Promise<ReadonlyMap<string | null, Created>> {
    const keys = requests.flatMap(({ idempotencyKey }) => idempotencyKey ?? []);
    if (keys.length === 0) return new Map();
    const rows = await this.database.query(FIND_REPLAYED, [ownerId, keys]);
    return new Map(
      rows.map((row) => [
        row.idempotencyKey,
        { outcome: 'replayed', asset: assetOf(row), fingerprint: row.idempotencyFingerprint },
      ]),
    );
  }
}

/** Expired grants cannot be created, but a replayed request may contain grants that have expired since. */
const hasExpiredGrant = ({ acl, now }: NewAsset) =>
  acl.some(({ expiresAt }) => expiresAt !== null && expiresAt <= now);

/** Keeps only the first item of each idempotency key; the others are replays of the first. */
function withoutRepeatedKeys(assets: readonly NewAsset[]): NewAsset[] {
  const keys = new Set<string>();
  return assets.filter(({ idempotencyKey: key }) => key === null || (!keys.has(key) && keys.add(key)));
}
