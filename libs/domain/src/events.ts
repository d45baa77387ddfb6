/** A fact about an asset, written in the transaction that made it true. Ids only, no personal data. */
export interface DomainEvent {
  readonly type: string;
  readonly assetId: string;
  readonly ownerId: bigint;
}

/**
 * "The bytes are here": what `upload` tells `processing`. One per claimed generation and attempt; receiving it twice
 * is harmless, since the asset's row decides.
 */
export interface AssetReceived {
  readonly assetId: string;
  readonly generation: string;
  readonly attempt: number;
  /** The request that asked for the upload, so that one id can be followed through every log. */
  readonly requestId: string;
}
