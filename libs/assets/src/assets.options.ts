import type { BatcherOptions } from '#libs/database';

export interface AssetsOptions {
  readonly incomingBucket: string;
  /** Media types and families that are accepted; empty for all. */
  readonly allowedTypes: readonly string[];
  /** Keys of 64 hex digits that encrypt the URLs of upload sessions: the first encrypts, all decrypt. */
  readonly uploadSessionKeys: readonly string[];
  /** How claims of incoming objects are batched. Default: up to 100 claims per statement, one statement at a time. */
  readonly claimBatches?: BatcherOptions;
}

export const ASSETS_OPTIONS = Symbol('ASSETS_OPTIONS');
