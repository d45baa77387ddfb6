/** A fact about an asset, written in the transaction that makes it true. Contains ids only, no personal data. */
export interface DomainEvent {
  readonly type: string;
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
