import type { VariantProfile } from '#libs/domain';

export interface PipelineOptions {
  /** A folder of this machine alone; created when it does not exist. */
  readonly spoolFolder: string;
  /** Most bytes in that folder at a time. */
  readonly spoolBytes: number;
  /** Media types and families that are stored even if they cannot be scanned. */
  readonly admitUnscannable: readonly string[];
  /** Variants that every picture gets. */
  readonly profiles: readonly VariantProfile[];
}

export const PIPELINE_OPTIONS = Symbol('PIPELINE_OPTIONS');
