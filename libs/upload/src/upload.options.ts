import type { BatcherOptions } from '#libs/database';

export interface UploadOptions {
  readonly maxUploadBytes: number;
  /** How long a ticket may be started, seconds. */
  readonly urlSeconds: number;
  /** Origins whose pages may use upload sessions: `https://app.example`, or `*` for all. Default: none. */
  readonly origins?: readonly string[];
  /** How requests for single uploads that come at once share statements. Default: 4 at a time, of up to 100. */
  readonly batches?: BatcherOptions;
}

export const UPLOAD_OPTIONS = Symbol('UPLOAD_OPTIONS');
