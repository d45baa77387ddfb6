export interface AssetsOptions {
  readonly incomingBucket: string;
  readonly contentBucket: string;
  /** Whether identical files of different owners share one object. */
  readonly dedupeScope: 'global' | 'owner';
  /** Types and families that are stored; empty for all. */
  readonly allowedTypes: readonly string[];
}

export const ASSETS_OPTIONS = Symbol('ASSETS_OPTIONS');
