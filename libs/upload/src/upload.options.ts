import type { BatcherOptions } from '#libs/database';

export interface UploadOptions {
  readonly maxUploadBytes: number;
  /** Seconds from the request of a ticket until its URL expires. */
  readonly urlSeconds: number;
  /** Page origins that may use upload sessions: `https://app.example`, or `*` for all. Default: none. */
  readonly origins?: readonly string[];
  /** How concurrent requests for single uploads share statements. Default: 4 statements at a time, of up to 100 requests. */
  readonly batches?: BatcherOptions;
}

export const UPLOAD_OPTIONS = Symbol('UPLOAD_OPTIONS');
