import type { VariantProfile } from '#libs/domain';

export interface ContentOptions {
  /** Bucket of stored objects and variants; only the service writes there. */
  readonly contentBucket: string;
  /** Whether identical files of different owners share one object. */
  readonly dedupeScope: 'global' | 'owner';
}

export const CONTENT_OPTIONS = Symbol('CONTENT_OPTIONS');

export interface ContentStoreOptions {
  /** Bucket of infected and damaged bytes; no URL of the service leads there. */
  readonly quarantineBucket: string;
  /** Variants that every picture gets. */
  readonly profiles: readonly VariantProfile[];
}

export const CONTENT_STORE_OPTIONS = Symbol('CONTENT_STORE_OPTIONS');
