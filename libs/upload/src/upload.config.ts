import type { BatcherOptions } from '#libs/database';
import { Bytes, Variable, Whole } from '#libs/runtime';

export class UploadConfig {
  @Variable('MAX_UPLOAD_BYTES')
  @Bytes()
  readonly maxUploadBytes: number = 5 * 2 ** 30;

  /** Seconds from the request of a ticket until its URL expires. */
  @Variable('UPLOAD_URL_SECONDS')
  @Whole(1, 604_800)
  readonly urlSeconds: number = 900;

  /** Page origins that may use upload sessions: `https://app.example`, or `*` for all. The app sets them. */
  origins: readonly string[] = [];

  /** How concurrent requests for single uploads share statements. Default: 4 statements at a time, of up to 100 requests. */
  readonly batches?: BatcherOptions;
}
