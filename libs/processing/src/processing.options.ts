import type { VariantProfile } from '#libs/domain';

export interface PipelineOptions {
  /** A local folder that no other machine uses; created if it does not exist. */
  readonly spoolFolder: string;
  /** Bytes that all files in the spool folder may take together. */
  readonly spoolBytes: number;
  /** Media types and families that are accepted even if their files cannot be scanned. */
  readonly admitUnscannable: readonly string[];
  /** Variants that are created for every picture. */
  readonly profiles: readonly VariantProfile[];
}

export const PIPELINE_OPTIONS = Symbol('PIPELINE_OPTIONS');
