import type { VariantProfile } from '#libs/domain';

export interface PipelineOptions {
  /** Where infected bytes go. */
  readonly quarantineBucket: string;
  /** A folder of this machine's own; made when it is not there. */
  readonly spoolFolder: string;
  /** The most that lies there at a time. */
  readonly spoolBytes: number;
  /** Types and families that are stored although nobody could look into them. */
  readonly admitUnscannable: readonly string[];
  /** Variants that every picture gets. */
  readonly profiles: readonly VariantProfile[];
}

export const PIPELINE_OPTIONS = Symbol('PIPELINE_OPTIONS');
