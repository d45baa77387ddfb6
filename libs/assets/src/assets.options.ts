export interface AssetsOptions {
  readonly incomingBucket: string;
  readonly contentBucket: string;
  /** Whether identical files of different owners share one object. */
  readonly dedupeScope: 'global' | 'owner';
}

export const ASSETS_OPTIONS = Symbol('ASSETS_OPTIONS');
