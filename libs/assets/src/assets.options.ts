import type { BatcherOptions } from '#libs/database';

export interface AssetsOptions {
  readonly incomingBucket: string;
  /** Types and families that are stored; empty for all. */
  readonly allowedTypes: readonly string[];
  /** Keys of 64 hex digits that encrypt the URLs of upload sessions: the first encrypts, all decrypt. */
  readonly uploadSessionKeys: readonly string[];
  /** How claims of incoming objects are made together; unless given, 100 at a time and one batch after another. */
  readonly claimBatches?: BatcherOptions;
}

export const ASSETS_OPTIONS = Symbol('ASSETS_OPTIONS');
