/**
 * Types of the events of assets: one for each transition (`TRANSITIONS`), and those of changes that leave the status: of name or
 * metadata, of the bytes, of the access list, of the owner, and of the row's removal. The list is closed: features observe these events and write
 * none.
 */
export const ASSET_EVENT_TYPES = [
  'asset.requested',
  'asset.adopted',
  'asset.received',
  'asset.retried',
  'asset.ready',
  'asset.rejected',
  'asset.failed',
  'asset.expired',
  'asset.cancelled',
  'asset.revived',
  'asset.lapsed',
  'asset.deleted',
  'asset.abandoned',
  'asset.removed',
  'asset.condemned',
  'asset.restored',
  'asset.applied',
  'asset.replaced',
  'asset.updated',
  'asset.access-changed',
  'asset.transferred',
  'asset.purged',
] as const;
export type AssetEventType = (typeof ASSET_EVENT_TYPES)[number];

/** A fact about an asset, written in the transaction that makes it true. Contains ids only, no personal data. */
export interface DomainEvent {
  readonly type: AssetEventType;
  readonly assetId: string;
  readonly ownerId: bigint;
}

/**
 * Sent by `upload` to `processing` when an asset's bytes have arrived: one per claimed generation and attempt. A
 * duplicate is harmless because processing compares it with the asset's row.
 */
export interface AssetReceived {
  readonly assetId: string;
  readonly generation: string;
  readonly attempt: number;
  /** Id of the request that started the upload, to correlate logs. */
  readonly requestId: string;
}
